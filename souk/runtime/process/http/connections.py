"""The connections of one HTTP server: limits their number, and ends those that are too slow."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from uvicorn.server import ServerState

from souk.runtime.process.http.limits import HttpLimits, network_of
from souk.runtime.process.open_files import for_clients
from souk.telemetry.logs import logger

_REFUSING = 64
"""Connections beyond the limit that still get a response; any more are closed without one."""
_SILENT = 10.0
"""Seconds after which it is logged again that connections are refused."""

_log = logger("http")


class WatchedConnection(Protocol):
    """A connection as its server's state needs it."""

    def check(self, now: float) -> None:
        """Ends the connection if it is too slow."""
        ...

    def answer_and_close(self) -> None:
        """Closes the connection after the response that is under way, if there is one."""
        ...


class HttpServerState(ServerState):
    """uvicorn's state of a server, with limits. `draining` is set once each response ends its connection."""

    def __init__(self, limits: HttpLimits) -> None:
        super().__init__()
        self.limits = limits
        self.draining = False
        self._most = for_clients(limits.connections)
        # One address never has all connections, however few there may be.
        self._most_each = min(limits.per_address, max(1, self._most // 2))
        self._taken = 0
        self._from: Counter[str] = Counter()
        self._logged: float | None = None

    def welcome(self, address: str) -> bool | None:
        """Counts a connection and returns True; False if it must be refused, None if there is no room for a refusal."""
        network = network_of(address)
        alone = bool(address) and self._from[network] >= self._most_each
        if self._taken < self._most and not alone:
            self._taken += 1
            self._from[network] += 1
            return True
        self._log_refusal(self._taken, network if alone else "")
        return False if len(self.connections) - self._taken <= _REFUSING else None

    def gone(self, address: str) -> None:
        """Forgets a connection that was counted and has ended."""
        network = network_of(address)
        self._taken -= 1
        self._from[network] -= 1
        if not self._from[network]:
            del self._from[network]

    def drain(self) -> None:
        """Lets each response from now on end its connection, those under way included."""
        self.draining = True
        for connection in list(self.connections):
            connection.answer_and_close()  # type: ignore[union-attr]  # they are of our own class

    async def watch(self, *chores: Callable[[], None]) -> None:
        """Ends connections that are too slow, until it is cancelled; each time it also does the `chores`."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.limits.sweep)
            now = loop.time()
            for chore in chores:
                chore()
            for connection in list(self.connections):
                try:
                    connection.check(now)  # type: ignore[union-attr]
                except Exception:  # the other connections must still be checked
                    _log.exception("a connection could not be checked")

    def _log_refusal(self, total: int, network: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._logged is None or now - self._logged > _SILENT:
            self._logged = now
            _log.warning(
                "connections are refused: too many are open",
                open=total,
                most=self._most,
                most_per_address=self._most_each,
                **({"address": network} if network else {}),
            )
