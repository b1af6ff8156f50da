"""The faults of a chaos run: each is a class, injected once and healed once."""

import asyncio
import os
import random
import signal
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import asyncpg
import redis.asyncio

from souk.backing.postgres.roles import PREFIX
from souk.runtime.data.layout import DataLayout
from tests.chaos.bank import Bank
from tests.chaos.brokers import Broker
from tests.market.operator import Operator
from tests.market.rows import superuser_url

SERVICES = ("product", "user", "order", "inventory", "payment", "notification", "analytics")
TABLES = {
    "order": "orders",
    "inventory": "stock",
    "payment": "payments",
    "product": "products",
    "user": "users",
    "analytics": "figures",
}
SKEWS = (-3_700, -120, 120, 3_700)
"""Seconds; some a process may shrug off, others must take it out of service."""
RESERVE = 65_536


@dataclass
class Target:
    """What faults act on: the fleet on `data`, its supervisor and its broker, and the bank outside of it."""

    data: Path
    operator: Operator
    supervisor: int
    bank: Bank
    broker: Broker
    clocks: Path
    small_disk: bool

    async def processes(self, *kinds: str) -> dict[str, int]:
        """Gives the pids of the running processes of these kinds, by instance."""
        found = await asyncio.to_thread(self.operator.ps)
        return {one["instance"]: one["pid"] for one in found if one["kind"] in kinds and one["pid"]}


class Fault(ABC):
    """A fault that lasts for a while. `name` is its name in reports."""

    name: ClassVar[str]
    longest: ClassVar[float] = 4.0
    """Seconds that it lasts at most."""

    def __init__(self, target: Target, chance: random.Random) -> None:
        self.target, self.chance = target, chance

    def possible(self) -> bool:
        """Tells whether it can be injected into this target on this machine."""
        return True

    @abstractmethod
    async def inject(self) -> str:
        """Injects the fault; returns what it was injected into."""

    async def heal(self) -> None:  # noqa: B027  # most faults have nothing to undo: the system must mend itself
        """Ends the fault."""


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


class KillProcess(Fault):
    """kill -9 of a service's process, or the gateway's."""

    name, longest = "process killed", 1.0

    async def inject(self) -> str:
        victims = await self.target.processes("service", "gateway")
        victim = self.chance.choice(sorted(victims))
        _send(victims[victim], signal.SIGKILL)
        return victim


class PauseProcess(Fault):
    """SIGSTOP, and SIGCONT later: a process that hangs, and cannot know that it did."""

    name, longest = "process stopped and continued", 8.0
    _pid = 0

    async def inject(self) -> str:
        victims = await self.target.processes("service")
        victim = self.chance.choice(sorted(victims))
        self._pid = victims[victim]
        _send(self._pid, signal.SIGSTOP)
        return victim

    async def heal(self) -> None:
        _send(self._pid, signal.SIGCONT)


class PauseSupervisor(Fault):
    """SIGSTOP to the supervisor, which serves the registry as well."""

    name, longest = "supervisor stopped and continued", 6.0

    async def inject(self) -> str:
        _send(self.target.supervisor, signal.SIGSTOP)
        return "supervisor"

    async def heal(self) -> None:
        _send(self.target.supervisor, signal.SIGCONT)


class KillEngine(Fault):
    """kill -9 of PostgreSQL, Valkey or the bus."""

    name, longest = "engine killed", 1.0

    async def inject(self) -> str:
        victims = await self.target.processes("engine")
        victim = self.chance.choice(sorted(victims))
        _send(victims[victim], signal.SIGKILL)
        return victim


class FlushValkey(Fault):
    """Deletes everything in Valkey."""

    name, longest = "Valkey emptied", 0.5

    async def inject(self) -> str:
        async with redis.asyncio.Redis(unix_socket_path=str(DataLayout(self.target.data).valkey_socket)) as client:
            with suppress(redis.RedisError):
                await client.flushall()
        return "valkey"


class PauseBroker(Fault):
    """SIGSTOP of the broker, and SIGCONT later: connections stay open, and nothing answers on them."""

    name, longest = "broker stopped and continued", 8.0

    async def inject(self) -> str:
        await self.target.broker.pause(self.target.operator)
        return self.target.broker.name

    async def heal(self) -> None:
        self.target.broker.resume()


class KillBroker(Fault):
    """kill -9 of the broker, again as soon as it is back."""

    name, longest = "broker killed twice", 4.0

    async def inject(self) -> str:
        for _ in range(2):
            await self.target.broker.kill(self.target.operator)
        return self.target.broker.name

    async def heal(self) -> None:
        await self.target.broker.come_back()


class RestartBroker(Fault):
    """The broker is restarted by its operator."""

    name, longest = "broker restarted", 1.0

    async def inject(self) -> str:
        await self.target.broker.restart(self.target.operator)
        return self.target.broker.name

    async def heal(self) -> None:
        await self.target.broker.come_back()


class KillBank(Fault):
    """Kills the bank alone: requests that it has booked are never answered, and its port refuses until it is
    started again."""

    name, longest = "bank killed", 3.0

    async def inject(self) -> str:
        await self.target.bank.vanish()
        return "bank"

    async def heal(self) -> None:
        await self.target.bank.come_back()


class SilentBank(Fault):
    """The bank accepts requests, and answers none."""

    name, longest = "bank silent", 6.0

    async def inject(self) -> str:
        self.target.bank.hold()
        return "bank"

    async def heal(self) -> None:
        self.target.bank.release()


class BankThatHangsUp(Fault):
    """The bank books a charge, and the connection is closed before the answer."""

    name = "bank's answers cut"

    async def inject(self) -> str:
        self.target.bank.cuts_answers = True
        return "bank"

    async def heal(self) -> None:
        self.target.bank.release()


class SlowBank(Fault):
    """Delays every request to the bank and every answer."""

    name, longest = "bank slow", 6.0

    async def inject(self) -> str:
        self.target.bank.delay = self.chance.uniform(0.1, 1.5)
        return f"{self.target.bank.delay:.1f} s each way"

    async def heal(self) -> None:
        self.target.bank.release()


class FullDisk(Fault):
    """Fills the file system of the fleet's data, which must be a file system of its own."""

    name, longest = "disk full", 5.0

    @property
    def _ballast(self) -> Path:
        return self.target.data / "ballast"

    def possible(self) -> bool:
        return self.target.small_disk

    async def inject(self) -> str:
        await asyncio.to_thread(self._fill)
        return "data"

    def _fill(self) -> None:
        with self._ballast.open("wb") as file, suppress(OSError):
            while True:
                size = max(RESERVE, os.statvfs(self.target.data).f_bavail * os.statvfs(self.target.data).f_frsize // 2)
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)

    async def heal(self) -> None:
        self._ballast.unlink(missing_ok=True)


class ClockSkew(Fault):
    """Shifts the date of one process. The gateway is left out: it verifies tokens by its date, and every request
    passes through it."""

    name, longest = "clock of one process", 8.0

    async def inject(self) -> str:
        victims = await self.target.processes("service")
        victim, shift = self.chance.choice(sorted(victims)), self.chance.choice(SKEWS)
        self._file = self.target.clocks / str(victims[victim])
        self._file.write_text(str(shift))
        return f"{victim} {shift:+d} s"

    async def heal(self) -> None:
        self._file.unlink(missing_ok=True)


class Sql(Fault):
    """A fault that needs PostgreSQL's superuser."""

    async def connect(self, database: str) -> "asyncpg.Connection[asyncpg.Record]":
        """Opens a connection as PostgreSQL's superuser."""
        return await asyncpg.connect(superuser_url(self.target.data, database), timeout=10.0)


class HeldLock(Sql):
    """Holds a lock on a whole table."""

    name, longest = "lock held", 4.0
    _connection: "asyncpg.Connection[asyncpg.Record] | None" = None

    async def inject(self) -> str:
        service = self.chance.choice(sorted(TABLES))
        self._connection = await self.connect(f"{PREFIX}{service}")
        await self._connection.execute("BEGIN")
        await self._connection.execute("SET LOCAL lock_timeout = '5s'")
        with suppress(asyncpg.LockNotAvailableError):
            await self._connection.execute(f"LOCK TABLE {TABLES[service]} IN ACCESS EXCLUSIVE MODE")
        return TABLES[service]

    async def heal(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


class TerminatedBackends(Sql):
    """Ends the database connections of one service, or of all, as an administrator may."""

    name, longest = "backends terminated", 0.5

    async def inject(self) -> str:
        which = self.chance.choice([*sorted(TABLES), "%"])
        connection = await self.connect("postgres")
        try:
            sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename LIKE $1"
            number = await connection.fetchval(sql, f"{PREFIX}{which}")
        finally:
            connection.terminate()
        return f"{number} of {which}"


class ConnectionsExhausted(Sql):
    """Takes all connections that PostgreSQL has left, so that a lost one cannot be opened again."""

    name, longest = "connections exhausted", 4.0
    most: ClassVar[int] = 400

    async def inject(self) -> str:
        self._held: list[asyncpg.Connection[asyncpg.Record]] = []
        with suppress(asyncpg.PostgresError, OSError, TimeoutError):
            for _ in range(self.most):
                self._held.append(await self.connect("postgres"))
        return f"{len(self._held)} taken"

    async def heal(self) -> None:
        for connection in self._held:
            connection.terminate()


FAULTS: tuple[type[Fault], ...] = (
    KillProcess, PauseProcess, PauseSupervisor, KillEngine, FlushValkey, PauseBroker, KillBroker, RestartBroker,
    KillBank, SilentBank, BankThatHangsUp, SlowBank, FullDisk, ClockSkew, HeldLock, TerminatedBackends,
    ConnectionsExhausted,
)  # fmt: skip
