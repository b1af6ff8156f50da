"""What can be set at the gateway."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Sizes are in bytes, times in seconds.

    `max_drain` is how much of an unwanted body is read before it is refused. `jwks_refetch` is the
    least time between two fetches of the verification keys on account of an unknown one,
    `jwks_retry` after a fetch that failed, `jwks_age` the time after which they are fetched anyway,
    so that a withdrawn key stops working. `trusted_proxies` are the networks whose word in
    X-Forwarded-For is taken; nobody's by default. `metrics` says whether `/metrics` is one of its routes:
    whoever reaches the gateway then reads them.
    """

    max_body: int = MEBIBYTE
    max_drain: int = 4 * MEBIBYTE
    max_target: int = 8 * 1024
    max_headers: int = 100
    max_header_bytes: int = 32 * 1024
    drain_timeout: float = 5.0
    jwks_refetch: float = 5.0
    jwks_retry: float = 1.0
    jwks_age: float = 60.0
    verified_tokens: int = 10_000
    title: str = "Souk"
    trusted_proxies: tuple[Network, ...] = ()
    metrics: bool = False
