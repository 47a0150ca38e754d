"""Calls of gRPC, written byte by byte, as no client library would write them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from tests.serving.hostile.attack import CUT_OFF, Attack, Reply
from tests.serving.limits import GOOD, MEBIBYTE
from tests.serving.running import PATIENCE, Server

INFER = "/inference.GRPCInferenceService/ModelInfer"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
BUSY = "RESOURCE_EXHAUSTED"  # of too many calls at once


def varint(number: int) -> bytes:
    """A number as protocol buffers write it."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def field(number: int, content: bytes, size: int | None = None) -> bytes:
    """A field of bytes, or of a message; of a size that need not be true."""
    return varint(number << 3 | 2) + varint(len(content) if size is None else size) + content


def whole(number: int, value: int) -> bytes:
    """A field of a whole number."""
    return varint(number << 3) + varint(value)


def channel(server: Server, **more: Any) -> grpc.Channel:
    """A connection without limits of its own."""
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options, **more)


def reply_of(error: grpc.RpcError) -> Reply:
    return Reply(error.code().name, error.details() or "")


def called(
    message: Callable[[], bytes] | bytes,
    method: str = INFER,
    times: int = 1,
    metadata: tuple[tuple[str, str], ...] = (),
    **more: Any,
) -> Callable[[Server], list[Reply]]:
    """Sends a message, which a function may make when it is needed, so many times at once."""

    def send(server: Server) -> list[Reply]:
        content = message() if callable(message) else message
        with channel(server, **more) as connection:
            call = connection.unary_unary(method)
            futures = [call.future(content, PATIENCE, metadata) for _ in range(times)]
            errors = [future.exception(PATIENCE) for future in futures]
        return [reply_of(error) if error else Reply("OK", "") for error in errors]

    return send


def infer(*fields: bytes, name: bytes = b"unet") -> bytes:
    """A request of the Open Inference Protocol."""
    return field(1, name) + b"".join(fields)


def tensor(datatype: bytes = b"BYTES", shape: tuple[int, ...] = (1,), contents: bytes = b"") -> bytes:
    """An input of such a request."""
    sides = b"".join(whole(3, side) for side in shape)
    return field(5, field(1, b"image_bytes") + field(2, datatype) + sides + contents)


def image(content: bytes = GOOD, size: int | None = None) -> bytes:
    """The raw contents of an input of one image; the length before it need not be true."""
    return field(7, (len(content) if size is None else size).to_bytes(4, "little") + content)


def predict(*inputs: bytes, spec: bytes = b"", name: bytes = b"unet") -> bytes:
    """A request of TensorFlow Serving's; each input is a tensor."""
    named = (
        field(2, field(1, b"image_bytes" if i == 0 else b"%d" % i) + field(2, t))
        for i, t in enumerate(inputs)
    )
    return field(1, field(1, name) + spec) + b"".join(named)


def shaped(*sides: int, dtype: int = 1, rest: bytes = b"") -> bytes:
    """A tensor of TensorFlow's, of a shape that need not be true."""
    return whole(1, dtype) + field(2, b"".join(field(2, whole(1, side)) for side in sides)) + rest


def nested(depth: int) -> bytes:
    """Tensors in tensors."""
    inner = b""
    for _ in range(depth):
        inner = field(15, field(3, inner))
    return inner


def stalled(server: Server) -> list[Reply]:
    """Calls whose message never comes, more than there may be at once."""
    done = threading.Event()

    def nothing() -> Iterator[bytes]:
        done.wait(PATIENCE)
        yield from ()

    with channel(server) as connection, ThreadPoolExecutor(1) as pool:
        call = connection.stream_unary(INFER)
        futures = [call.future(nothing(), PATIENCE) for _ in range(40)]
        errors = pool.submit(lambda: [future.exception(PATIENCE) for future in futures]).result()
        done.set()
    return [reply_of(error) if isinstance(error, grpc.RpcError) else Reply("OK", "") for error in errors]


def idle(server: Server) -> list[Reply]:
    """Opens connections on which nothing is sent, and counts those that are closed at once."""
    closed = []
    with contextlib.ExitStack() as opened:
        connections = [
            opened.enter_context(socket.create_connection(("127.0.0.1", server.grpc_port), PATIENCE))
            for _ in range(600)
        ]
        for connection in connections[550:]:
            with contextlib.suppress(OSError):
                while connection.recv(65536):
                    pass
            closed.append(Reply(CUT_OFF, ""))
    return closed


def other(data: bytes) -> Callable[[Server], list[Reply]]:
    """Writes bytes to the port of gRPC until the server ends the connection."""

    def send(server: Server) -> list[Reply]:
        address = ("127.0.0.1", server.grpc_port)
        with socket.create_connection(address, PATIENCE) as connection, contextlib.suppress(OSError):
            connection.sendall(data)
            while connection.recv(65536):
                pass
        return [Reply(CUT_OFF, "")]

    return send


MANY = "the message holds more than 131072 fields"
NUMBERS = "the message holds more than 1048576 numbers"
NO_MESSAGE = "the message is no ModelInferRequest: its bytes are damaged, or of another kind"
FIT = "the tensors do not fit their shapes or datatypes"
SHAPE = "do not fill the shape"
FLOATS, STRING = b"FP32", 7
BAD, LARGE, NONE, NOT_OFFERED = "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "NOT_FOUND", "UNIMPLEMENTED"
# name: message, method, status, sentence
MESSAGES: dict[str, tuple[Any, str, str, str]] = {
    "bytes of 65 MiB": (
        lambda: infer(tensor(), image(bytes(65 * MEBIBYTE))), INFER, LARGE, "larger than max",
    ),
    "60 MiB of empty tensors": (lambda: infer(field(5, b"") * (30 * MEBIBYTE)), INFER, LARGE, MANY),
    "60 MiB of empty tensors, by TensorFlow Serving's call": (
        lambda: predict() + field(2, b"") * (30 * MEBIBYTE), PREDICT, LARGE, MANY,
    ),
    "60 MiB of sides of a shape": (
        lambda: predict(field(2, field(2, b"") * (30 * MEBIBYTE))), PREDICT, LARGE, MANY,
    ),
    "60 MiB of names of outputs": (lambda: predict() + field(3, b"") * (30 * MEBIBYTE), PREDICT, LARGE, MANY),
    "60 MiB of packed numbers": (
        lambda: infer(tensor(b"BOOL", contents=field(5, field(1, bytes(60 * MEBIBYTE))))), INFER, LARGE,
        NUMBERS,
    ),
    "60 MiB of empty texts": (
        lambda: infer(tensor(), field(7, bytes(60 * MEBIBYTE))), INFER, LARGE,
        "the tensors of datatype BYTES hold more than 1048576 values",
    ),
    "60 MiB of packed floats": (
        lambda: predict(shaped(1, rest=field(5, bytes(60 * MEBIBYTE)))), PREDICT, LARGE, NUMBERS,
    ),
    "60 MiB of packed sides of a shape": (
        lambda: infer(field(5, field(3, bytes(60 * MEBIBYTE)))), INFER, LARGE, NUMBERS,
    ),
    "60 MiB for a call that takes a name": (
        lambda: field(2, b"") * (30 * MEBIBYTE), "/inference.GRPCInferenceService/ModelReady", LARGE, MANY,
    ),
    "2,000 tensors": (infer(tensor() * 2000), INFER, BAD, "more than 1024 inputs or outputs"),
    "100,000 raw contents": (
        infer(tensor(), field(7, b"") * 10**5), INFER, BAD, "but 100000 raw_input_contents",
    ),
    "tensors in each other, 1,000 deep": (
        predict(nested(1000)), PREDICT, BAD, "nested too deeply: at most 64",
    ),
    "field that claims 2^60 bytes": (infer(field(5, b"", 2**60)), INFER, BAD, NO_MESSAGE),
    "number that does not end": (b"\x08" + b"\xff" * 1000, INFER, BAD, NO_MESSAGE),
    "groups that are never closed": (b"\x2b" * 10_000, INFER, BAD, NO_MESSAGE),
    "name that is no UTF-8": (infer(name=b"\xff\xfe"), INFER, BAD, NO_MESSAGE),
    "image in place of a message": (GOOD, INFER, BAD, NO_MESSAGE),
    "raw contents that claim 4 GiB": (infer(tensor(), image(size=2**32 - 1)), INFER, BAD, FIT),
    "raw contents that are cut short": (infer(tensor(), field(7, b"\5\0")), INFER, BAD, FIT),
    "shape of 2^62 sides in few bytes": (
        infer(tensor(FLOATS, (2**62, 2**62)), field(7, bytes(4))), INFER, BAD, FIT,
    ),
    "shape below zero": (
        infer(tensor(FLOATS, (2**64 - 5,)), field(7, bytes(4))), INFER, BAD, "takes string of shape [any]",
    ),
    "datatype that there is not": (infer(tensor(b"TEXT"), image()), INFER, BAD, FIT),
    "tensor of few bytes that declares a terabyte": (
        predict(shaped(2**40, rest=field(5, bytes(4)))), PREDICT, LARGE, "more than 1048576 values",
    ),
    "shape of which each side is 2^62": (
        predict(shaped(*[2**62] * 20, rest=field(4, bytes(4)))), PREDICT, BAD, SHAPE,
    ),
    "shape of 40,000 sides": (predict(shaped(*[2] * 40_000)), PREDICT, BAD, "at most 32 sides"),
    "dtype of a resource": (predict(shaped(1, dtype=20, rest=field(4, b"x"))), PREDICT, BAD, "no such dtype"),
    "texts as plain bytes": (
        predict(shaped(1, dtype=STRING, rest=field(4, bytes(8)))), PREDICT, BAD, "no such dtype",
    ),
    "label of a version": (predict(spec=field(4, b"x" * 100_000)), PREDICT, NONE, "no version labels"),
    "model of another name": (infer(name=b"../../etc"), INFER, NONE, "there is no model"),
    "model whose name has 100,000 letters": (infer(name=b"x" * 100_000), INFER, NONE, "there is no model"),
    "version of 5,000 digits": (infer(field(2, b"9" * 5000)), INFER, NONE, "the version is no whole number"),
    "version in other digits (²)": (
        infer(field(2, "²".encode())), INFER, NONE, "the version is no whole number",
    ),
    "no message": (b"", INFER, NONE, "there is no model ''"),
    "method that there is not": (b"", "/unet.Unet/Segment", NOT_OFFERED, "Method not found"),
    "method that is not offered": (
        b"", "/tensorflow.serving.PredictionService/Classify", NOT_OFFERED, "Classify is not offered",
    ),
    "configuration by a stranger": (
        b"", "/tensorflow.serving.ModelService/HandleReloadConfigRequest", NOT_OFFERED, "is not offered",
    ),
    "loading of a model": (
        b"", "/inference.GRPCInferenceService/RepositoryModelLoad", BAD, "loaded from the folder alone",
    ),
}  # fmt: skip

ATTACKS = [
    *(Attack(name, called(*sent), status, said) for name, (*sent, status, said) in MESSAGES.items()),
    Attack(
        "20 MiB of empty tensors, twelve times at once",
        called(lambda: infer(field(5, b"") * (10 * MEBIBYTE)), times=12),
        LARGE,
        MANY,
        "UNAVAILABLE DEADLINE_EXCEEDED",
    ),
    Attack(
        "200 calls at once",
        called(infer(tensor(), image(b"x" * MEBIBYTE)), times=200),
        BAD,
        "accepted are PNG",
        f"{BUSY} UNAVAILABLE",  # beyond 64, until the client has heard of that limit
    ),
    Attack(
        "message of 80 MiB, packed by gzip to 80 KiB",
        called(lambda: infer(tensor(), image(bytes(80 * MEBIBYTE))), compression=grpc.Compression.Gzip),
        LARGE,
        "larger than max",
    ),
    Attack("metadata of a mebibyte", called(b"", metadata=(("x", "y" * MEBIBYTE),)), LARGE, "metadata"),
    Attack("40 calls whose message never comes", stalled, "DEADLINE_EXCEEDED", "did not arrive within", BUSY),
    Attack("600 connections to gRPC on which nothing is sent", idle, CUT_OFF, ""),
    Attack("HTTP/1.1 on the port of gRPC", other(b"GET / HTTP/1.1\r\n\r\n"), CUT_OFF, ""),
    Attack("zero bytes on the port of gRPC", other(bytes(MEBIBYTE)), CUT_OFF, ""),
]
