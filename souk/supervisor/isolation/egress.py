"""The way out of a network namespace, to declared destinations and to nothing else.

A socket listens inside for each, at the address that the destination has there. This process has made it in the
namespace, and accepts outside. No path leads to it, so that nobody but processes of the namespace can use it.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from souk.supervisor.isolation.addresses_inside import InsideAddresses
from souk.supervisor.isolation.connection_relay import ConnectionRelay, Opened, RelayLimits, opened_outside
from souk.supervisor.isolation.destinations import IPV4, Destination, IPAddress
from souk.supervisor.isolation.network_namespace import add_to_loopback, has_ipv6, within

_BACKLOG = 128
_RESOLVERS = 2


class Egress:
    """The way out of one namespace, within `limits`. `report` gets a line when a destination cannot be reached, and
    `opened` connects to one."""

    def __init__(
        self,
        destinations: Iterable[Destination],
        report: Callable[[str], None],
        limits: RelayLimits | None = None,
        opened: Opened | None = None,
    ) -> None:
        self.destinations = tuple(sorted(set(destinations)))
        self._addresses = InsideAddresses(self.destinations)
        limits = limits or RelayLimits()
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, "names outside")
        opened = opened or partial(opened_outside, resolvers=self._resolvers, attempt=limits.attempt)
        self._relays = {one: ConnectionRelay(one, opened, report, limits) for one in self.destinations}
        self._servers: list[asyncio.Server] = []

    @property
    def files(self) -> Mapping[str, str]:
        """What processes inside must find in place of the system's files, by path, to resolve names."""
        return self._addresses.files

    @property
    def connections(self) -> int:
        """How many connections are carried."""
        return sum(relay.connections for relay in self._relays.values())

    async def open(self, namespace: int) -> None:
        """Listens inside the namespace of a descriptor. Raises OSError when that is not possible."""
        for one, listener in await asyncio.to_thread(within, namespace, self._listeners):
            self._servers.append(await asyncio.start_server(self._relays[one], sock=listener))

    def close(self) -> None:
        """Stops listening, and resets all connections."""
        for server in self._servers:
            server.close()
        for relay in self._relays.values():
            relay.close()
        self._servers.clear()
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    def _listeners(self) -> list[tuple[Destination, socket.socket]]:
        made: dict[tuple[IPAddress, int], tuple[Destination, socket.socket]] = {}
        added: set[IPAddress] = set()
        try:
            for one in self.destinations:
                for address in self._addresses.of(one):
                    if not address.is_loopback and address not in added:
                        added.add(address)
                        add_to_loopback(address, len(added))
                    if (address, one.port) not in made and (address.version == IPV4 or has_ipv6()):
                        made[address, one.port] = one, _listener(address, one.port)
        except OSError:
            for _, listener in made.values():
                listener.close()
            raise
        return list(made.values())


def _listener(address: IPAddress, port: int) -> socket.socket:
    family = socket.AF_INET if address.version == IPV4 else socket.AF_INET6
    try:
        return socket.create_server((str(address), port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OSError(f"its way out to {address}, port {port}, cannot be opened: {error.strerror}") from error
