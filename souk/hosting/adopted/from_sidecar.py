"""The server's protocol of an application with a sidecar: nobody else than that process may send it a request.

The permissions of a socket with a path let in every process of its user. The kernel says which process has connected.
"""

import asyncio
from collections.abc import Callable

from souk.runtime.process.http.websockets import UpgradingProtocol
from souk.runtime.process.sockets import peer_pid
from souk.telemetry.logs import logger

_log = logger("adopted")


def only_from(sidecar: Callable[[], int | None]) -> type[UpgradingProtocol]:
    """Makes the protocol that takes connections of the process `sidecar` alone, and ends all others at once."""

    class FromSidecar(UpgradingProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            pid = peer_pid(transport.get_extra_info("socket"))
            if pid == sidecar():
                super().connection_made(transport)
                return
            _log.warning("a process that is not the sidecar is refused", pid=pid)
            transport.set_protocol(asyncio.Protocol())
            transport.abort()  # type: ignore[attr-defined]

    return FromSidecar
