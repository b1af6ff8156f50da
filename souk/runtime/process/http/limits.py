"""How much, how many and how slow a client of an HTTP port may be.

The rates are of octets that the peer sends or takes. A client that is slow but steady is never cut: each octet
buys time. One that stops is, after the seconds of the limit.
"""

import ipaddress
from dataclasses import dataclass

MOST_HEAD = 64 * 1024
"""Octets of a request's head, and again of what follows its body: 431 beyond them."""
MOST_FIELDS = 128
"""Header fields of a request, those after its body included: 431 beyond them."""
LINGER = 1.0
"""Seconds for which a connection that this end has closed is still read from.

Octets that come to a socket that is closed for good destroy the answer that is still on its way.
"""


@dataclass(frozen=True)
class HttpLimits:
    """`connections` at once in total, and `per_address` from one address (from one /64 with IPv6).

    Seconds: `first_octet` from the connection to the first request's first octet; `idle` from an answer to the
    next one's; `head` from the first octet to the end of the head; `body` and `write` for a body, and for an
    answer that its client is slow to take, besides a second for every `slowest` octets that went over.
    """

    connections: int = 4_096
    per_address: int = 1_024
    first_octet: float = 20.0
    head: float = 20.0
    body: float = 10.0
    write: float = 20.0
    idle: float = 75.0
    slowest: int = 1_024

    @property
    def sweep(self) -> float:
        """Seconds between two looks at all connections."""
        return min(1.0, min(self.first_octet, self.head, self.body, self.write, self.idle) / 4)


def network_of(address: str) -> str:
    """Whom connections are counted for: an IPv4 address, or the network of 64 bits that one holder of IPv6 has."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
