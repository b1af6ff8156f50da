"""Which processes a fleet should have, and how many connections they may open. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import meant
from souk.runtime.service import Service

GATEWAY = "gateway"
MOST_REPLICAS = 64
"""Processes of one service on one machine; more is a slip of the finger."""
ROOM = 16
"""Processes with a database that may be added while the fleet runs: PostgreSQL fixes its connections at start."""
BESIDE_POOL = 2
"""Connections of a process beside its pool: it listens on one, and migrates on one."""
RESERVED = 10
"""Connections for the supervisor, for an operator, and for PostgreSQL's own superusers."""
LEAST_POOL = 2


def replicas(services: Iterable[Service], scale: Mapping[str, int]) -> dict[str, int]:
    """How many processes of each service, and of the gateway, are wanted.

    Raises ConfigurationError, in one line with the nearest name, for a service that is not there.
    """
    wanted = {service.name: 1 for service in services} | {GATEWAY: 1}
    for name, count in scale.items():
        require_known(name, wanted)
        require_count(count)
        wanted[name] = count
    return wanted


def require_known(name: str, known: Collection[str]) -> None:
    """Raises ConfigurationError, which names the nearest, unless there is such a service."""
    if name not in known:
        raise ConfigurationError(f"there is no service {name!r} in this fleet{meant(name, known)}")


def require_count(count: int) -> None:
    """Raises ConfigurationError for a number of processes that is none."""
    if not 1 <= count <= MOST_REPLICAS:
        raise ConfigurationError(f"a service has 1 to {MOST_REPLICAS} processes, not {count}; `souk stop` ends it")


def next_number(taken: Collection[int]) -> int:
    """The lowest number, from 1, that no process of a service has."""
    return next(number for number in range(1, len(taken) + 2) if number not in taken)


@dataclass(frozen=True, slots=True)
class ConnectionBudget:
    """How connections to PostgreSQL are shared: `pool` a process, `most` on the server."""

    pool: int
    most: int

    def processes(self) -> int:
        """How many processes with a database have room."""
        return (self.most - RESERVED) // (self.pool + BESIDE_POOL)

    def require_room(self, processes: int) -> None:
        """Raises ConfigurationError when so many processes could ask for more connections than there are."""
        if processes > self.processes():
            raise ConfigurationError(
                f"PostgreSQL has {self.most} connections, enough for {self.processes()} processes with "
                f"a pool of {self.pool}, not for {processes}; make the pool smaller with SOUK_POSTGRES_POOL"
            )


def own_connections(processes: int, pool: int) -> ConnectionBudget:
    """What a server of our own is started with, with room to grow."""
    return ConnectionBudget(pool, (processes + ROOM) * (pool + BESIDE_POOL) + RESERVED)


def shared_connections(processes: int, pool: int, most: int) -> ConnectionBudget:
    """What fits on a server that has `most` connections: a smaller pool, if need be."""
    fitting = (most - RESERVED) // max(processes, 1) - BESIDE_POOL
    return ConnectionBudget(max(LEAST_POOL, min(pool, fitting)), most)
