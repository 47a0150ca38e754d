"""The server's command line binds its ports before anything slow begins."""

import socket

import pytest

from serving.__main__ import listen


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_free_port_of_either_family_is_taken(host, family):
    try:
        listener = listen(host, 0, "--http-port")
    except OSError:
        if family == socket.AF_INET6 and not _has_ipv6():
            pytest.skip("this machine has no IPv6")
        raise
    with listener:
        assert listener.family == family
        assert listener.getsockname()[1] > 0


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_port_that_is_in_use_is_one_sentence_with_the_flags():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            OSError, match=rf"^cannot listen on 127\.0\.0\.1 port {port}: .+ \(--host, --grpc-port\)$"
        ):
            listen("127.0.0.1", port, "--grpc-port")
