"""The certificate of the server: checked before anything slow begins, and given to gRPC."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def tls_mistakes(certificate: str, key: str) -> Iterator[str]:
    """Yields a sentence if no server can use certificate and key.

    Args:
        certificate: PEM file of the certificate, and those between it and its root.
        key: PEM file of its private key.
    """
    if not certificate or not key:
        yield "--tls-certificate and --tls-key need each other"
        return
    for flag, path in (("--tls-certificate", certificate), ("--tls-key", key)):
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            yield f"{flag} {path} cannot be read: {error.strerror}"
            return
        if flag == "--tls-key" and b"ENCRYPTED" in content:
            yield f"{flag} {path} has a password, which nobody could type: give one without"
            return
    try:
        _context(certificate, key)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield f"--tls-key {key} is not the key of --tls-certificate {certificate}"
        else:
            files = f"--tls-certificate {certificate} and --tls-key {key}"
            yield f"{files} are no PEM files of a good certificate and its key: {error.reason}"
        return
    if not _taken_by_grpc(certificate, key):
        yield (
            f"gRPC cannot use --tls-certificate {certificate}: give one with a key of RSA, or of the curve "
            "P-256, P-384 or P-521"
        )


def tls_warnings(certificate: str, key: str) -> Iterator[str]:
    """Yields a sentence if clients will not trust the certificate today: it has expired, or is not valid yet.

    Args:
        certificate: file without mistakes; empty for none.
        key: file of its private key.
    """
    if not certificate:
        return
    # What a client would say that trusts this very certificate.
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        client.wrap_bio(to_client, to_server),
        _context(certificate, key).wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(3):  # each side twice, and once more
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                reason = getattr(error, "verify_message", error.reason)
                yield f"clients will refuse --tls-certificate {certificate}: {reason}"
                return


def grpc_credentials(certificate: str, key: str) -> Any:
    """Returns what a gRPC server needs for TLS.

    Args:
        certificate: PEM file of the certificate, and those between it and its root.
        key: PEM file of its private key.
    """
    import grpc  # not before the arguments are checked

    return grpc.ssl_server_credentials([(Path(key).read_bytes(), Path(certificate).read_bytes())])


def _taken_by_grpc(certificate: str, key: str) -> bool:
    """Whether gRPC, which has a TLS library of its own, can use a certificate that OpenSSL can."""
    import grpc  # a part of a second, for servers with TLS alone

    def binds(bind: Callable[[grpc.Server, str], int]) -> bool:
        server = grpc.server(ThreadPoolExecutor(1))
        try:
            return bind(server, "localhost:0") > 0
        except RuntimeError:  # it does not say why
            return False
        finally:
            server.stop(None)

    credentials = grpc_credentials(certificate, key)
    # If it can bind nothing at all, that is not due to the certificate.
    return binds(lambda server, at: server.add_secure_port(at, credentials)) or not binds(
        lambda server, at: server.add_insecure_port(at)
    )


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
