"""A gRPC service for tests, without a schema: calls.py PORT. See `Calls` in the test kit."""

import sys
import threading
from concurrent import futures

import grpc

# What the service has noticed of `Slow`: how many calls have begun, and how many of them are over.
noticed = {"begun": 0, "over": 0}
lock = threading.Lock()


def metadata(context):
    said = [(key, value) for key, value in context.invocation_metadata() if key.startswith("my-")]
    context.send_initial_metadata([(key.replace("my-", "your-"), value) for key, value in said])
    context.set_trailing_metadata([("your-trail", str(len(said)))])


def echo(request, context):
    metadata(context)
    return request


def notice(what):
    with lock:
        noticed[what] += 1


def slow(request, context):
    over = threading.Event()
    context.add_callback(over.set)
    notice("begun")
    over.wait(60)
    notice("over")
    return request


def seen(request, context):
    with lock:
        return f"{noticed['begun']} {noticed['over']}".encode()


def fail(request, context):
    context.set_trailing_metadata([("grpc-status-details-bin", b"\x08\x09\x12\x05sorry"), ("x-why", "because")])
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now – später")


def count(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def numbers(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def hold(request, context):
    over = threading.Event()
    context.add_callback(over.set)
    yield request
    over.wait(60)


def shout(requests, context):
    for request in requests:
        yield request.upper()


kinds = [
    (grpc.unary_unary_rpc_method_handler, [echo, slow, seen, fail]),
    (grpc.stream_unary_rpc_method_handler, [count]),
    (grpc.unary_stream_rpc_method_handler, [numbers, hold]),
    (grpc.stream_stream_rpc_method_handler, [shout]),
]
handlers = {function.__name__.capitalize(): kind(function) for kind, functions in kinds for function in functions}
limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
server = grpc.server(futures.ThreadPoolExecutor(max_workers=256), options=limits)
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("calls.v1.Calls", handlers)])
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
