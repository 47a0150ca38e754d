"""What is one client."""

from __future__ import annotations

import pytest

from serving.protocols.client_address import client_of, client_of_peer, client_of_scope


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),  # as a socket for both kinds tells it
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_client_is_an_address_or_a_network(host: str, client: str):
    assert client_of(host) == client


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("ipv4:192.0.2.7:50000", "192.0.2.7"),
        ("ipv6:%5B2001:db8::9%5D:50000", "2001:db8::/64"),
        ("ipv6:[::ffff:192.0.2.7]:50000", "192.0.2.7"),
        ("unix:/tmp/socket", "unix:/tmp/socket"),
    ],
)
def test_a_peer_of_grpc_is_the_same_client(peer: str, client: str):
    assert client_of_peer(peer) == client


def test_a_request_without_an_address_is_of_a_client_without_a_name():
    assert client_of_scope({"client": ("192.0.2.7", 50000)}) == "192.0.2.7"
    assert client_of_scope({"client": None}) == client_of_scope({}) == ""
