"""A WebSocket over HTTP/2 (RFC 8441): websocket_h2.py ADDRESS AUTHORITY PATH TOKEN. Prints what it saw."""

import socket
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, Pong, TextMessage, BytesMessage

address, authority, path, token = sys.argv[1:]
host, port = address.rsplit(":", 1)
io = socket.create_connection((host, int(port)), timeout=60)
http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
http.initiate_connection()
io.sendall(http.data_to_send())
waiting = []


def events():
    """The next of HTTP/2's events."""
    while not waiting:
        data = io.recv(65536)
        if not data:
            raise SystemExit("the connection has ended")
        waiting.extend(http.receive_data(data))
        io.sendall(http.data_to_send())
    return waiting.pop(0)


def until(kind):
    while not isinstance(event := events(), kind):
        pass
    return event


until(h2.events.RemoteSettingsChanged)
print("extended CONNECT:", http.remote_settings.enable_connect_protocol)
stream = http.get_next_available_stream_id()
fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path), (":authority", authority)]
fields += [("sec-websocket-version", "13"), ("sec-websocket-protocol", "one, two"), ("hoop-token", token)]
http.send_headers(stream, fields)
io.sendall(http.data_to_send())
answer = dict(until(h2.events.ResponseReceived).headers)
print("status:", answer[":status"], "protocol:", answer.get("sec-websocket-protocol"))
if answer[":status"] != "200":
    raise SystemExit
ws = Connection(ConnectionType.CLIENT)


def send(event):
    data = ws.send(event)
    while data:
        room = http.local_flow_control_window(stream)
        if room == 0:
            until(h2.events.WindowUpdated)
            continue
        piece = data[: min(room, http.max_outbound_frame_size)]
        data = data[len(piece) :]
        http.send_data(stream, piece)
        io.sendall(http.data_to_send())


def received():
    while True:
        for event in ws.events():
            return event
        data = until(h2.events.DataReceived)
        http.acknowledge_received_data(data.flow_controlled_length, stream)
        io.sendall(http.data_to_send())
        ws.receive_data(data.data)


def whole(kind):
    parts = []
    while True:
        event = received()
        if isinstance(event, kind):
            parts.append(event.data)
            if event.message_finished:
                return type(event.data)().join(parts)


send(TextMessage(data="grüße"))
print("text:", whole(TextMessage))
large = bytes(range(256)) * 2048
send(BytesMessage(data=large))
print("bytes:", whole(BytesMessage) == large)
send(Ping(payload=b"there?"))
while not isinstance(event := received(), Pong):
    pass
print("pong:", bytes(event.payload))
send(CloseConnection(code=4001, reason="enough"))
while not isinstance(event := received(), CloseConnection):
    pass
print("closed:", event.code, event.reason)
