"""The client as a program; as a function: tests/serving/clients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.running import ROOT, Server

pytestmark = pytest.mark.server

IMAGE = encoded(noise(40, 60))


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    # -S: nothing that is installed is there, only Python.
    command = [sys.executable, "-S", "serving/client.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)


def test_program(server: Server, tmp_path: Path, expected: Callable[[bytes, int], bytes]):
    (tmp_path / "image.png").write_bytes(IMAGE)
    done = run(tmp_path / "image.png", "--out", tmp_path / "mask.png", "--url", server.url + "/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "mask.png").read_bytes() == expected(IMAGE, 1)


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
