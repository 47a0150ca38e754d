"""Who asks, as far as an address tells: what shares between clients go by."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

NETWORK = 64  # bits of an IPv6 address that one client has behind it, as providers give them out


def client_of(host: str) -> str:
    """Returns the client of an address: the address, or the network of one of IPv6.

    Args:
        host: the address; any other text is a client of its own.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), NETWORK), strict=False))


def client_of_scope(scope: Mapping[str, Any]) -> str:
    """Returns the client of a request by HTTP, of which ASGI tells the scope."""
    return client_of(scope["client"][0]) if scope.get("client") else ""


def client_of_peer(peer: str) -> str:
    """Returns the client that gRPC calls a peer, as `ipv4:192.0.2.1:50000` or `ipv6:%5B::1%5D:50000`."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    return client_of(rest.rpartition(":")[0].strip("[]"))
