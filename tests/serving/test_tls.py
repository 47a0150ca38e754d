"""TLS by the server's own option: a certificate is checked before anything starts, and clients trust it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from serving.tls import tls_mistakes, tls_warnings
from tests.serving.certificates import Certificate, expired, self_signed
from tests.serving.conftest import Exposed, encoded, noise
from tests.serving.running import PATIENCE, PYTHON, ROOT, answers, b64, wait_for

IMAGE = encoded(noise(40, 60))
PREDICT = "/v1/models/unet:predict"


def mistakes(certificate: Path | str, key: Path | str) -> list[str]:
    return list(tls_mistakes(str(certificate), str(key)))


def test_a_good_certificate_has_no_mistakes(certificate: Certificate):
    assert mistakes(certificate.path, certificate.key) == []
    assert list(tls_warnings(str(certificate.path), str(certificate.key))) == []
    assert list(tls_warnings("", "")) == []


def test_one_file_is_not_enough(certificate: Certificate):
    for files in ((certificate.path, ""), ("", certificate.key)):
        assert mistakes(*files) == ["--tls-certificate and --tls-key need each other"]


def test_files_that_cannot_be_used_are_one_sentence(certificate: Certificate, tmp_path: Path):
    other = self_signed(tmp_path)
    (tmp_path / "locked").mkdir()
    locked = self_signed(tmp_path / "locked", "-passout", "pass:secret")
    for files, words in (
        ((certificate.path, other.key), f"--tls-key {other.key} is not the key of"),
        (
            (tmp_path / "no.pem", other.key),
            f"--tls-certificate {tmp_path}/no.pem cannot be read: No such file",
        ),
        ((other.path, tmp_path), f"--tls-key {tmp_path} cannot be read: Is a directory"),
        ((other.path, other.path), "are no PEM files of a good certificate and its key: "),
        ((locked.path, locked.key), "has a password, which nobody could type"),
    ):
        (sentence,) = mistakes(*files)
        assert words in sentence
        assert "\n" not in sentence


def test_a_key_that_grpc_cannot_use_is_one_sentence(tmp_path: Path):
    for curve, usable in (("secp384r1", True), ("secp256k1", False)):
        (tmp_path / curve).mkdir()
        made = self_signed(tmp_path / curve, "-nodes", "-pkeyopt", f"ec_paramgen_curve:{curve}")
        told = (
            [] if usable else [f"gRPC cannot use --tls-certificate {made.path}: give one with a key of RSA"]
        )
        assert [sentence.partition(", or of")[0] for sentence in mistakes(made.path, made.key)] == told


def test_an_expired_certificate_is_a_warning(tmp_path: Path):
    old = expired(tmp_path)
    assert mistakes(old.path, old.key) == []
    (sentence,) = tls_warnings(str(old.path), str(old.key))
    assert sentence == f"clients will refuse --tls-certificate {old.path}: certificate has expired"


@pytest.mark.server
def test_urllib_and_the_own_client(
    exposed: Exposed, certificate: Certificate, tmp_path: Path, expected: Callable[[bytes, int], bytes]
):
    server, _ = exposed
    context = ssl.create_default_context(cafile=str(certificate.path))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    body = json.dumps({"instances": [b64(IMAGE)]}).encode()
    for host in ("127.0.0.1", "localhost"):
        with opener.open(f"https://{host}:{server.port}{PREDICT}", body, PATIENCE) as response:
            (mask,) = json.load(response)["predictions"]
        assert base64.b64decode(mask["b64"]) == expected(IMAGE, 1)

    (tmp_path / "image.png").write_bytes(IMAGE)
    command = [
        sys.executable,
        "serving/client.py",
        str(tmp_path / "image.png"),
        "--out",
        str(tmp_path / "m.png"),
    ]
    command += ["--url", f"https://127.0.0.1:{server.port}"]
    for trusted, code in ({"SSL_CERT_FILE": str(certificate.path)}, 0), ({}, 1):
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **trusted}, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr
    assert (tmp_path / "m.png").read_bytes() == expected(IMAGE, 1)


@pytest.mark.server
def test_a_secure_channel(
    exposed: Exposed, certificate: Certificate, expected: Callable[[bytes, int], bytes]
):
    server, _ = exposed
    request = PredictRequest(model_spec={"name": "unet"})
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([IMAGE]))
    credentials = grpc.ssl_channel_credentials(certificate.path.read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{server.grpc_port}", credentials) as channel:
        response = PredictionServiceStub(channel).Predict(request, PATIENCE)
    assert tf.make_ndarray(response.outputs["mask_bytes"]).tolist() == [expected(IMAGE, 1)]


@pytest.mark.server
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_clients_of_modern_ciphers_alone(exposed: Exposed, certificate: Certificate, version: ssl.TLSVersion):
    server, _ = exposed
    context = ssl.create_default_context(cafile=str(certificate.path))
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.minimum_version = context.maximum_version = version
    for port in (server.port, server.grpc_port):
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as connection,
            context.wrap_socket(connection, server_hostname="127.0.0.1") as wrapped,
        ):
            assert wrapped.version() == version.name.replace("_", ".")


@pytest.mark.server
def test_nobody_is_answered_without_tls(exposed: Exposed):
    server, _ = exposed
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET /v1/models/unet HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"AVAILABLE" not in connection.recv(65536)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            PredictionServiceStub(channel).Predict(PredictRequest(model_spec={"name": "unet"}), 5)
        assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.mark.server
def test_clients_that_never_end_their_tls_are_cut_off(exposed: Exposed, certificate: Certificate):
    server, watched = exposed

    def files() -> int:
        return int(re.findall(rb"^process_open_fds (\d+)", watched.request("GET", "/metrics")[2], re.M)[0])

    before = files()
    context = ssl.create_default_context(cafile=str(certificate.path))
    with contextlib.ExitStack() as opened:
        for _ in range(20):
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
            opened.enter_context(context.wrap_socket(connection, server_hostname="127.0.0.1"))
        assert files() >= before + 20
        wait_for(lambda: files() <= before, server)


@pytest.mark.server
@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\0\x01"])
def test_a_client_of_grpc_that_does_not_begin_its_tls_is_cut_off(exposed: Exposed, sent: bytes):
    server, _ = exposed
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.grpc_port), PATIENCE) as connection:
        connection.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert time.monotonic() - begin < 60  # of 5; gRPC's own limit is 120


# A server that stops beside a client that has its answer, keeps the connection, and reads nothing more.
STOPPED = """
import asyncio, contextlib, json, socket, ssl, sys
import uvicorn
from serving.protocols.http_limits import protocol_class

certificate, key = sys.argv[1:]

class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        yield

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})

def asked(port):
    context = ssl.create_default_context(cafile=certificate)
    connection = socket.create_connection(("127.0.0.1", port))
    client = context.wrap_socket(connection, server_hostname="127.0.0.1")
    client.sendall(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    return client, client.recv(12)

async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(uvicorn.Config(
        app, http=protocol_class(60, 512), ws="none", lifespan="off", log_config=None,
        ssl_certfile=certificate, ssl_keyfile=key,
    ))
    serving = asyncio.ensure_future(server.serve([listener]))
    client, answer = await asyncio.to_thread(asked, listener.getsockname()[1])
    server.should_exit = True
    await asyncio.wait({serving}, timeout=25)
    print(json.dumps([answer.decode(), serving.done()]), flush=True)
    server.force_exit = True
    await serving

asyncio.run(main())
"""


@pytest.mark.server
def test_a_stop_does_not_wait_for_idle_clients(certificate: Certificate):
    assert answers(PYTHON, STOPPED, certificate.path, certificate.key) == ["HTTP/1.1 200", True]


@pytest.mark.server
def test_connections_without_tls_leave_room_for_health(exposed: Exposed):
    server, watched = exposed
    with contextlib.ExitStack() as opened:
        for _ in range(600):
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
        closed = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
        with contextlib.suppress(ConnectionResetError):
            assert closed.recv(1) == b""  # it is one too many, and would else be waited for
        assert watched.request("GET", "/health/live")[0] == 200
