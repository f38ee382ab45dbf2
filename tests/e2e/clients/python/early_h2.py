"""A request over HTTP/2 that is answered before its body has come: early_h2.py ADDRESS AUTHORITY PATH TOKEN. Prints what it saw."""

import socket
import sys

import h2.config
import h2.connection
import h2.events

address, authority, path, token = sys.argv[1:]
host, port = address.rsplit(":", 1)
io = socket.create_connection((host, int(port)), timeout=60)
http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
http.initiate_connection()


def ask(method, path, *more):
    stream = http.get_next_available_stream_id()
    fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority), ("hoop-token", token)]
    http.send_headers(stream, fields + list(more), end_stream=method == "GET")
    return stream


def answer(stream):
    """The status, the body, and the code of the reset, where one comes."""
    status, body = None, b""
    while True:
        io.sendall(http.data_to_send())
        data = io.recv(65536)
        if not data:
            raise SystemExit("the connection has ended")
        for event in http.receive_data(data):
            if getattr(event, "stream_id", None) != stream:
                continue
            match event:
                case h2.events.ResponseReceived():
                    status = dict(event.headers)[":status"]
                case h2.events.DataReceived():
                    body += event.data
                    http.acknowledge_received_data(event.flow_controlled_length, stream)
                case h2.events.StreamReset():
                    return status, body, event.error_code
                case h2.events.StreamEnded() if stream != upload:
                    return status, body, None


upload = ask("POST", path, ("content-length", "1000000"))
http.send_data(upload, b"x" * 1000)
status, body, reset = answer(upload)
print(status, body.decode().strip())
print("reset:", int(reset))
status, _, _ = answer(ask("GET", "/next"))
print("next:", status)
