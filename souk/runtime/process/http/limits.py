"""Limits on the clients of an HTTP port: how much they may send, how many they may be, and how slow.

The rates are of octets that the client sends or reads. A client that keeps to the rate is never cut off: octets
give it more time. A client that stops is cut off after the seconds of the limit.
"""

import ipaddress
from dataclasses import dataclass

MOST_HEAD = 64 * 1024
"""Octets of a request's head, and again of the trailer after its body; a request with more is refused with 431."""
MOST_FIELDS = 128
"""Header fields of a request, those of its trailer included; a request with more is refused with 431."""
LINGER = 1.0
"""Seconds for which a connection is still read from after this side has closed it.

Octets that come to a fully closed socket reset the connection, and the response on its way is lost.
"""


@dataclass(frozen=True)
class HttpLimits:
    """`connections` at once in total, and `per_address` from one address (from one /64 with IPv6).

    Seconds: `first_octet` from the connection to the first request's first octet; `idle` from a response to the
    next request's first octet; `head` from the first octet to the end of the head; `body` for a body and `write` for
    a response that its client reads slowly, each plus a second for every `slowest` octets that were transferred.
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
        """Seconds between two checks of all connections."""
        return min(1.0, min(self.first_octet, self.head, self.body, self.write, self.idle) / 4)


def network_of(address: str) -> str:
    """Gives the client that a connection is counted for: an IPv4 address, or the /64 network of an IPv6 address,
    which usually belongs to one client."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
