"""How many processes a fleet has, and how many connections to PostgreSQL they may open. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import meant
from souk.runtime.service import Service

MOST_REPLICAS = 64
"""Processes of one service on one machine; a larger number is taken for a typing error."""
ROOM = 16
"""Processes with a database that may be added while the fleet runs: PostgreSQL fixes its connections at start."""
BESIDE_POOL = 2
"""Connections of a process besides its pool: one to listen on, and one to migrate on."""
RESERVED = 10
"""Connections for the supervisor, for an operator, and for PostgreSQL's own superusers."""
LEAST_POOL = 2


def replicas(services: Iterable[Service], scale: Mapping[str, int]) -> dict[str, int]:
    """Gives how many processes of each service, and of the gateway, a fleet should have: one, unless `scale` has more.

    Raises ConfigurationError, in one line, for an unknown service, with the nearest name, and for a wrong number.
    """
    wanted = {service.name: 1 for service in services} | {GATEWAY_SERVICE: 1}
    for name, count in scale.items():
        require_known(name, wanted)
        require_count(count)
        wanted[name] = count
    return wanted


def require_known(name: str, known: Collection[str]) -> None:
    """Checks a service's name. Raises ConfigurationError, with the nearest name, if there is no such service."""
    if name not in known:
        raise ConfigurationError(f"there is no service {name!r} in this fleet{meant(name, known)}")


def require_count(count: int) -> None:
    """Checks a number of processes. Raises ConfigurationError unless it is from 1 to MOST_REPLICAS."""
    if not 1 <= count <= MOST_REPLICAS:
        raise ConfigurationError(f"a service has 1 to {MOST_REPLICAS} processes, not {count}; `souk stop` ends it")


def next_number(taken: Collection[int]) -> int:
    """Gives the lowest number, from 1, that no process of a service has."""
    return next(number for number in range(1, len(taken) + 2) if number not in taken)


@dataclass(frozen=True, slots=True)
class ConnectionBudget:
    """How connections to PostgreSQL are shared: `pool` for each process, `most` in all on the server."""

    pool: int
    most: int

    def processes(self) -> int:
        """Gives how many processes with a database these connections suffice for."""
        return (self.most - RESERVED) // (self.pool + BESIDE_POOL)

    def require_room(self, processes: int) -> None:
        """Checks a number of processes. Raises ConfigurationError if they could need more than `most` connections."""
        if processes > self.processes():
            raise ConfigurationError(
                f"PostgreSQL has {self.most} connections, enough for {self.processes()} processes with "
                f"a pool of {self.pool}, not for {processes}; make the pool smaller with SOUK_POSTGRES_POOL"
            )


def own_connections(processes: int, pool: int) -> ConnectionBudget:
    """Gives the budget that a fleet's own server is started with: with room for ROOM more processes."""
    return ConnectionBudget(pool, (processes + ROOM) * (pool + BESIDE_POOL) + RESERVED)


def shared_connections(processes: int, pool: int, most: int) -> ConnectionBudget:
    """Gives the budget on a server that takes `most` connections: with a smaller pool, if needed."""
    fitting = (most - RESERVED) // max(processes, 1) - BESIDE_POOL
    return ConnectionBudget(max(LEAST_POOL, min(pool, fitting)), most)
