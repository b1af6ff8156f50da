"""Finds the address and the scheme of a client: those of its connection, or what a trusted proxy has forwarded."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

FORWARDED = b"x-forwarded-for"
_SCHEME = b"x-forwarded-proto"


def client_address(scope: Mapping[str, Any], trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """Returns the nearest address on the way that is not a trusted proxy's; empty when there is none.

    Each proxy appends the address of its caller to X-Forwarded-For, so the header is read from its end, and only as
    far as trusted proxies have written it: the client may have forged the part before that.
    """
    client = scope.get("client")
    here = str(client[0]) if client else ""
    if not trusted:
        return here
    for hop in _backwards(scope["headers"]):
        known = _address(here)
        forwarded = _address(hop)
        if known is None or forwarded is None or not any(known in network for network in trusted):
            return here
        here = str(forwarded)
    return here


def from_trusted_proxy(scope: Mapping[str, Any], trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether the other end of the connection is a trusted proxy."""
    client = scope.get("client")
    peer = _address(str(client[0])) if client and trusted else None
    return peer is not None and any(peer in network for network in trusted)


def client_scheme(scope: Mapping[str, Any], trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """Returns `http` or `https`, by which the client came: to the nearest trusted proxy, or to this server."""
    own = str(scope.get("scheme", "http"))
    if not from_trusted_proxy(scope, trusted):
        return own
    given = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == _SCHEME]
    return given[0] if given in (["http"], ["https"]) else own


def _backwards(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[str]:
    for name, value in reversed(headers):
        if name == FORWARDED:
            yield from (part.strip() for part in reversed(value.decode("latin-1").split(",")))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
