"""An ASGI application for tests: uvicorn app:app. See `Uvicorn` in the test kit."""

import asyncio
import json


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    elif scope["path"] == "/chunked":
        await pieces(send, b"text/plain", [b"one\n", b"two\n", b"three\n"])
    elif scope["path"] == "/events":
        await pieces(send, b"text/event-stream", [f"id: {n}\ndata: event {n}\n\n".encode() for n in (1, 2, 3)])
    else:
        await echo(scope, receive, send)


async def lifespan(receive, send):
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def websocket(scope, receive, send):
    await receive()
    if scope["path"] != "/ws":
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    while (message := await receive())["type"] == "websocket.receive":
        said = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
        await send({"type": "websocket.send", **said})


async def pieces(send, kind, bodies):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    for body in bodies:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.sleep(0.02)
    await send({"type": "http.response.body", "body": b""})


async def echo(scope, receive, send):
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    query = scope["query_string"].decode()
    told = {
        "method": scope["method"],
        "path": scope["raw_path"].decode() + (f"?{query}" if query else ""),
        "fields": [part.decode("latin-1") for field in scope["headers"] for part in field],
        "body": body.decode(errors="replace"),
    }
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
