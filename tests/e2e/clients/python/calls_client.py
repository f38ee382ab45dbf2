"""Calls of the service `calls.v1.Calls`: calls_client.py PART ADDRESS AUTHORITY TOKEN. What it prints is the same with a gateway
and without; AUTHORITY and TOKEN are empty without."""

import base64
import http.client
import sys
import threading

import grpc

part, address, authority, token = sys.argv[1:]
options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
if authority:
    options.append(("grpc.default_authority", authority))
channel = grpc.insecure_channel(address, options)
own = [("hoop-token", token)] if token else []


def at(name):
    return f"/calls.v1.Calls/{name}"


def kinds():
    print(channel.unary_unary(at("Echo"))(b"hello", metadata=own))
    print(channel.stream_unary(at("Count"))(iter([b"one", b"three"]), metadata=own))
    print([*channel.unary_stream(at("Numbers"))(b"5", metadata=own)])
    turns, got = threading.Semaphore(1), []

    def asked():
        for word in (b"one", b"two", b"three"):
            # Each only when the one before was answered.
            turns.acquire()
            yield word

    for answer in channel.stream_stream(at("Shout"))(asked(), metadata=own):
        got.append(answer)
        turns.release()
    print(got)


def deadline():
    try:
        channel.unary_unary(at("Slow"))(b"", timeout=1, metadata=own)
    except grpc.RpcError as error:
        print(error.code())


def seen():
    """How many calls of `Slow` have begun, and how many are over."""
    return [int(word) for word in channel.unary_unary(at("Seen"))(b"", metadata=own).split()]


def cancelled():
    begun, over = seen()
    call = channel.unary_unary(at("Slow")).future(b"", metadata=own)
    while seen()[0] == begun:
        pass
    call.cancel()
    print(call.cancelled())
    while seen()[1] == over:
        pass
    print("the service has noticed")


def metadata():
    said = [("my-one", "1"), ("my-two-bin", bytes(range(256)))]
    answer, call = channel.unary_unary(at("Echo")).with_call(b"", metadata=own + said)
    back = sorted((key, value) for key, value in call.initial_metadata() if key.startswith("your-"))
    trail = [(key, value) for key, value in call.trailing_metadata() if key.startswith("your-")]
    print(back, trail)


def details():
    try:
        channel.unary_unary(at("Fail"))(b"", metadata=own)
    except grpc.RpcError as error:
        # Any server may say when it answers.
        trailing = [(key, value) for key, value in error.trailing_metadata() if key != "date"]
        print(error.code(), error.details(), sorted(trailing))


def large():
    message = bytes(range(256)) * 4096 * 8
    print(channel.unary_unary(at("Echo"))(message, metadata=own) == message)
    print([len(part) for part in channel.stream_stream(at("Shout"))(iter([message] * 3), metadata=own)])


def many():
    echo = channel.unary_unary(at("Echo"))
    waiting = [channel.unary_unary(at("Slow")).future(b"", metadata=own) for _ in range(100)]
    calls = [echo.future(str(number).encode(), metadata=own) for number in range(100)]
    print([int(call.result()) for call in calls])
    for call in waiting:
        call.cancel()


def refused():
    for kind in (channel.unary_unary(at("Echo")), channel.stream_unary(at("Count"))):
        try:
            kind(b"" if kind.__class__.__name__.startswith("_UnaryUnary") else iter([b""]), metadata=own)
            print("let in")
        except grpc.RpcError as error:
            print(error.code(), error.details())


def begun(word, then=None):
    """A call that is open until somebody ends it: says what was answered first, what its client then goes on with, and its end."""
    gone_on = threading.Event()

    def asked():
        yield word
        if then is None:
            gone_on.wait()
        else:
            yield then

    call = channel.stream_stream(at("Shout"))(asked(), metadata=own)
    print(next(call), flush=True)
    try:
        print(len(next(call)))
    except grpc.RpcError as error:
        print(error.code(), error.details())
    gone_on.set()


def held():
    begun(b"one")


def deep():
    """The second answer is a message that nobody reads: it has others in it, without an end."""
    message = b""
    for _ in range(80):
        # The length in two bytes, none of which is a letter: the service makes letters large.
        message = bytes([0x0A, len(message) & 0x7F | 0x80, len(message) >> 7]) + message
    begun(b"one", message)


def long():
    begun(b"one", b"x" * 8192)


def rests():
    """A call whose client has nothing to say until somebody says so."""

    def asked():
        yield b"one"
        print("rests", flush=True)
        sys.stdin.readline()
        yield b"three"

    print(channel.stream_unary(at("Count"))(asked(), metadata=own))


def framed(message):
    return b"\0" + len(message).to_bytes(4, "big") + message


def web(coded=False):
    """The same by gRPC-Web, which has the end in its body."""
    connection = http.client.HTTPConnection(address, timeout=60)
    kind = "application/grpc-web-text" if coded else "application/grpc-web"
    body = framed(b"one")
    fields = {"Host": authority, "Content-Type": kind, "Hoop-Token": token}
    connection.request("POST", at("Hold"), base64.b64encode(body) if coded else body, fields)
    answer = connection.getresponse()
    size = len(base64.b64encode(body)) if coded else len(body)
    first = answer.read(size)
    print(base64.b64decode(first) if coded else first, flush=True)
    rest = answer.read()
    print(base64.b64decode(rest) if coded else rest)


def web_text():
    web(True)


globals()[part]()
