"""The client as a program; as a function: tests/serving/clients."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.running import ROOT, Server

IMAGE = encoded(noise(40, 60))


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    # -S: nothing that is installed is there, only Python.
    command = [sys.executable, "-S", "serving/client.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)


@pytest.mark.server
def test_program(server: Server, tmp_path: Path, expected: Callable[[bytes, int], bytes]):
    (tmp_path / "image.png").write_bytes(IMAGE)
    done = run(tmp_path / "image.png", "--out", tmp_path / "mask.png", "--url", server.url + "/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "mask.png").read_bytes() == expected(IMAGE, 1)


@pytest.mark.server
def test_program_says_what_is_wrong(server: Server, tmp_path: Path):
    (tmp_path / "text.png").write_text("no image")
    for image, url, words in (
        ("text.png", server.url, "accepted are PNG"),
        ("none.png", server.url, "No such file"),
        ("text.png", "http://127.0.0.1:9", "no answer from http://127.0.0.1:9: "),
    ):
        done = run(tmp_path / image, "--out", tmp_path / "mask.png", "--url", url)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert words in done.stderr
    assert not (tmp_path / "mask.png").exists()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "IncompleteRead("),
        (b"HTTP/1.1 500 Bad\r\nContent-Length: 100\r\n\r\n{", "status 500"),
        (b"\0\0\x12\4\0\0\0\0\0", "BadStatusLine("),  # gRPC's greeting
    ],
)
def test_an_answer_that_is_cut_short_or_no_http_is_one_sentence(tmp_path: Path, answer: bytes, words: str):
    (tmp_path / "image.png").write_bytes(IMAGE)

    def answered(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            request = b""
            while not request.endswith(b"]}"):
                request += connection.recv(65536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answered, args=[listener], daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = run(tmp_path / "image.png", "--out", tmp_path / "mask.png", "--url", url)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert words in done.stderr


@pytest.mark.parametrize("url", ["localhost", "http://[::1", "http://127.0.0.1:x"])
def test_an_address_that_is_none_is_one_sentence(tmp_path: Path, url: str):
    (tmp_path / "image.png").write_bytes(IMAGE)
    done = run(tmp_path / "image.png", "--out", tmp_path / "mask.png", "--url", url)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert url in done.stderr
