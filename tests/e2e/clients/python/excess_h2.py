"""A request over HTTP/2 whose body is longer than it was said to be: excess_h2.py ADDRESS AUTHORITY PATH TOKEN LENGTH FIRST. FIRST is
what comes of the body before the rest, which is sent once `/begun` is answered. Prints the code of the reset."""

import socket
import sys

import h2.config
import h2.connection
import h2.events

address, authority, path, token, length, first = sys.argv[1:]
host, port = address.rsplit(":", 1)
io = socket.create_connection((host, int(port)), timeout=60)
http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
http.initiate_connection()


def until(kind):
    while True:
        io.sendall(http.data_to_send())
        data = io.recv(65536)
        if not data:
            raise SystemExit("the connection has ended")
        for event in http.receive_data(data):
            if isinstance(event, kind):
                return event


def ask(stream, method, path, *more):
    fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority), ("hoop-token", token)]
    http.send_headers(stream, fields + list(more), end_stream=method == "GET")


ask(1, "POST", path, ("content-length", length))
if first:
    http.send_data(1, first.encode())
ask(3, "GET", "/begun")
until(h2.events.ResponseReceived)
http.send_data(1, b"GET /smuggled HTTP/1.1\r\n\r\n", end_stream=True)
print("reset:", int(until(h2.events.StreamReset).error_code))
