"""Certificates as people make them: by OpenSSL's own program."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

REQUEST = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost")
AUTHORITY = """
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
"""


@dataclass(frozen=True)
class Certificate:
    """Files of a certificate and its key."""

    path: Path
    key: Path


def self_signed(folder: Path, *key_options: str) -> Certificate:
    """A certificate of 127.0.0.1 and localhost; skips the test without OpenSSL.

    Args:
        folder: folder of the files.
        key_options: what becomes of the key; nothing for one without a password.
    """
    names = ("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    files = ("-x509", "-days", "2", "-keyout", "key.pem", "-out", "certificate.pem")
    _openssl(folder, *REQUEST, *files, *names, *(key_options or ("-nodes",)))
    return Certificate(folder / "certificate.pem", folder / "key.pem")


def expired(folder: Path) -> Certificate:
    """A certificate that was valid in 2020."""
    (folder / "own.cnf").write_text(AUTHORITY)
    (folder / "index.txt").touch()
    _openssl(folder, *REQUEST, "-new", "-nodes", "-keyout", "key.pem", "-out", "request.pem")
    _openssl(
        folder, "ca", "-batch", "-notext", "-config", "own.cnf", "-selfsign", "-keyfile", "key.pem",
        "-in", "request.pem", "-startdate", "20200101000000Z", "-enddate", "20210101000000Z",
        "-out", "certificate.pem",
    )  # fmt: skip
    return Certificate(folder / "certificate.pem", folder / "key.pem")


def _openssl(folder: Path, *arguments: str) -> None:
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
