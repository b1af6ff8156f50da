"""Where destinations are inside a network namespace: at addresses of its loopback.

A literal address becomes one of the loopback's own, and a name is resolved to an address that it has for itself. So a
process connects to what its settings name, and checks the certificate against that.
"""

import socket
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

from souk.supervisor.isolation.destinations import LOCALHOST, Destination, IPAddress

_LOOPBACKS: tuple[IPAddress, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_OF_NAMES = IPv4Network("127.83.0.0/16")
"""The addresses of names."""
_HOSTS, _SWITCH, _CACHE = "/etc/hosts", "/etc/nsswitch.conf", "/run/nscd/socket"


class InsideAddresses:
    """The addresses of destinations, and the files by which names are resolved to them."""

    def __init__(self, destinations: Iterable[Destination]) -> None:
        self._destinations = sorted(set(destinations))
        names = sorted({one.host for one in self._destinations if one.literal is None and one.host != LOCALHOST})
        literals = {one.literal for one in self._destinations}
        free = (address for address in _OF_NAMES.hosts() if address not in literals)
        self._names = dict(zip(names, free, strict=False))

    def of(self, destination: Destination) -> tuple[IPAddress, ...]:
        """Gives the addresses of a destination: one, or both loopbacks for localhost."""
        if destination.literal is not None:
            return (destination.literal,)
        return _LOOPBACKS if destination.host == LOCALHOST else (self._names[destination.host],)

    @property
    def files(self) -> Mapping[str, str]:
        """What processes inside read in place of the system's files, by path; nothing if no destination has a name.

        No name server can be reached there, nor may a cache of names answer, which knows the addresses outside.
        """
        if not self._names:
            return {}
        hosts = "".join(f"{address} {name}\n" for name, address in self._names.items())
        files = {_HOSTS: f"127.0.0.1 {LOCALHOST}\n::1 {LOCALHOST}\n127.0.1.1 {socket.gethostname()}\n{hosts}"}
        if (lines := _lines(_SWITCH)) is not None:
            files[_SWITCH] = "".join(f"{line}\n" for line in [*(_without_hosts(lines)), "hosts: files"])
        if Path(_CACHE).exists():
            files[_CACHE] = ""
        return files


def _lines(path: str) -> list[str] | None:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return None


def _without_hosts(lines: Iterable[str]) -> list[str]:
    return [line for line in lines if not line.lstrip().startswith("hosts:")]
