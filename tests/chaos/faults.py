"""What can happen to a fleet: each fault is one class, injected once and healed once."""

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
from tests.market.operator import Operator
from tests.market.rows import superuser_url

SERVICES = ("product", "user", "order", "inventory", "payment", "notification")
TABLES = {"order": "orders", "inventory": "stock", "payment": "payments", "product": "products", "user": "users"}
SKEWS = (-3_700, -120, 120, 3_700)
"""Seconds; some a process may shrug off, others must take it out of service."""
RESERVE = 65_536


@dataclass
class Target:
    """What a fault may reach: the fleet on `data`, its supervisor, and the bank outside of it."""

    data: Path
    operator: Operator
    supervisor: int
    bank: Bank
    clocks: Path
    small_disk: bool

    async def processes(self, *kinds: str) -> dict[str, int]:
        """The pids of the running processes of these kinds, by instance."""
        found = await asyncio.to_thread(self.operator.ps)
        return {one["instance"]: one["pid"] for one in found if one["kind"] in kinds and one["pid"]}


class Fault(ABC):
    """One thing that happens for a while. `name` is how reports call it."""

    name: ClassVar[str]
    longest: ClassVar[float] = 4.0
    """Seconds that it lasts at most."""

    def __init__(self, target: Target, chance: random.Random) -> None:
        self.target, self.chance = target, chance

    def possible(self) -> bool:
        """Whether it can be done to this target on this machine."""
        return True

    @abstractmethod
    async def inject(self) -> str:
        """Does it; returns to what."""

    async def heal(self) -> None:  # noqa: B027  # most faults have nothing to undo: the system must mend itself
        """Undoes it."""


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
    """SIGSTOP, and SIGCONT later: a process that hangs and does not know it."""

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
    """The supervisor hangs, and with it the registry."""

    name, longest = "supervisor stopped and continued", 6.0

    async def inject(self) -> str:
        _send(self.target.supervisor, signal.SIGSTOP)
        return "supervisor"

    async def heal(self) -> None:
        _send(self.target.supervisor, signal.SIGCONT)


class KillEngine(Fault):
    """kill -9 of PostgreSQL or Valkey."""

    name, longest = "engine killed", 1.0

    async def inject(self) -> str:
        victims = await self.target.processes("engine")
        victim = self.chance.choice(sorted(victims))
        _send(victims[victim], signal.SIGKILL)
        return victim


class FlushValkey(Fault):
    """Valkey forgets all that it holds."""

    name, longest = "Valkey emptied", 0.5

    async def inject(self) -> str:
        async with redis.asyncio.Redis(unix_socket_path=str(DataLayout(self.target.data).valkey_socket)) as client:
            with suppress(redis.RedisError):
                await client.flushall()
        return "valkey"


class KillBank(Fault):
    """The bank alone dies: what it has booked it never answers, and its port refuses until it is back."""

    name, longest = "bank killed", 3.0

    async def inject(self) -> str:
        await self.target.bank.vanish()
        return "bank"

    async def heal(self) -> None:
        await self.target.bank.come_back()


class SilentBank(Fault):
    """The bank takes requests and does not answer."""

    name, longest = "bank silent", 6.0

    async def inject(self) -> str:
        self.target.bank.hold()
        return "bank"

    async def heal(self) -> None:
        self.target.bank.release()


class BankThatHangsUp(Fault):
    """The bank books, and the connection ends before the answer."""

    name = "bank's answers cut"

    async def inject(self) -> str:
        self.target.bank.cuts_answers = True
        return "bank"

    async def heal(self) -> None:
        self.target.bank.release()


class SlowBank(Fault):
    """Each way to the bank and back takes long."""

    name, longest = "bank slow", 6.0

    async def inject(self) -> str:
        self.target.bank.delay = self.chance.uniform(0.1, 1.5)
        return f"{self.target.bank.delay:.1f} s each way"

    async def heal(self) -> None:
        self.target.bank.release()


class FullDisk(Fault):
    """Not an octet can be written where the fleet keeps its data. Needs a file system of its own there."""

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
    """The date of one process is wrong. Not the gateway's: it verifies tokens, and nothing stands in front of it."""

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
        """A connection of the superuser."""
        return await asyncpg.connect(superuser_url(self.target.data, database), timeout=10.0)


class HeldLock(Sql):
    """Somebody holds a lock on a whole table."""

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
    """An administrator ends the connections of a service, or of all."""

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
    """Others use all connections of PostgreSQL; those that are lost cannot be made again."""

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
    KillProcess, PauseProcess, PauseSupervisor, KillEngine, FlushValkey, KillBank, SilentBank, BankThatHangsUp,
    SlowBank, FullDisk, ClockSkew, HeldLock, TerminatedBackends, ConnectionsExhausted,
)  # fmt: skip
