"""What an isolated process may reach outside: hosts and ports, as its settings name them."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit

from souk.runtime.config.parsers import from_file

IPAddress = IPv4Address | IPv6Address
LOCALHOST = "localhost"
IPV4 = 4

_PORTS = {
    ("http", ""): 80,
    ("https", ""): 443,
    ("smtp", ""): 25,
    ("smtp", "starttls"): 587,
    ("smtps", ""): 465,
}
"""The port of a URL that has none, by its scheme, and by its query where that counts."""
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$)({_LABEL}\.)*(?!\d+\.?$|0x[0-9a-f]*\.?$){_LABEL}\.?")
"""A host name. One that ends in a number would be read as an address in a form of C's, such as 127.1."""


@dataclass(frozen=True, slots=True, order=True)
class Destination:
    """A TCP port of a host, which is a name in lower case, or a literal address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def literal(self) -> IPAddress | None:
        """The address, if the host is one."""
        return _literal(self.host)


def destination_of(text: str) -> Destination | None:
    """Reads the destination of a URL, or of the URL in a file for `@FILE`.

    None for what names none that can be reached through a relay: no URL with a host, no port and no scheme that has
    one, or an address that is not one of a single host.
    """
    try:
        url = urlsplit(from_file(str)(text))
        port = _port(url)
    except ValueError:
        return None
    host = url.hostname or ""
    if not port or not (_is_of_one_host(literal) if (literal := _literal(host)) else _NAME.fullmatch(host)):
        return None
    return Destination(host, port)


def _port(url: SplitResult) -> int | None:
    given = url.port
    return given if given is not None else _PORTS.get((url.scheme, url.query)) or _PORTS.get((url.scheme, ""))


def _literal(host: str) -> IPAddress | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_of_one_host(address: IPAddress) -> bool:
    if isinstance(address, IPv6Address) and (address.scope_id is not None or address.ipv4_mapped is not None):
        return False  # an interface is not there inside, and a mapped address is reached as what it stands for
    return not address.is_unspecified and not address.is_multicast and address != IPv4Address("255.255.255.255")
