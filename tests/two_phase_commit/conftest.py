"""A coordinator and two participants, each with a PostgreSQL database of its own, without a network between them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from souk.descriptors.contract import Reason
from souk.faults import INERT, Faults
from souk.kernel.clock import SystemClock
from souk.kernel.errors import DomainError, Outcome
from souk.rpc.call import CallFailed
from souk.saga.definition import Refusal, SagaRef, StepCall
from souk.saga.settings import SagaSettings
from souk.saga.store import SagaProgress
from souk.store.database import Transaction
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.postgres.database import PostgresDatabase
from souk.telemetry.tracing.tracer import Tracer
from souk.testing.postgres import TemporaryPostgres
from souk.two_phase_commit.coordinator import TwoPhaseCoordinator
from souk.two_phase_commit.definition import AtomicAction, Branch
from souk.two_phase_commit.parked import retry_parked_branches
from souk.two_phase_commit.participant import TwoPhaseParticipant

FAST = SagaSettings(pause=0.001, longest_pause=0.01)
LONG = 60.0


class Killed(asyncio.CancelledError):
    """The process of the coordinator ends here. A task that ends by it is not reported as failed."""


def lost(code: grpc.StatusCode = grpc.StatusCode.DEADLINE_EXCEEDED, outcome: Outcome = Outcome.UNKNOWN) -> CallFailed:
    """Makes the error of a call whose answer was lost, or, with another outcome, that was never sent."""
    return CallFailed(code, outcome=outcome)


def refusal(name: str) -> CallFailed:
    """Makes the error of a call that was refused for good."""
    return _refused(DomainError(name, "refused"))


def _refused(error: DomainError) -> CallFailed:
    reason = Reason(error.reason, grpc.StatusCode.ABORTED, 409, final=True)
    return CallFailed(grpc.StatusCode.ABORTED, details=error.detail, outcome=Outcome.REFUSED, refusal=reason)


@dataclass
class Bank:
    """A participant: it puts 1 into an account, and refuses if `full`.

    `before` and `after` are called with each call's name, before it is carried out and before it is answered.
    """

    name: str
    database: PostgresDatabase
    participant: TwoPhaseParticipant
    full: bool = False
    before: Callable[[str], Awaitable[None] | None] = lambda what: None
    after: Callable[[str], Awaitable[None] | None] = lambda what: None
    calls: list[str] = field(default_factory=list)

    async def prepare(self, call: StepCall) -> Message:
        async def work(tx: Transaction) -> None:
            await tx.execute("UPDATE account SET n = n + 1", expect_rows=1)
            if self.full:
                raise DomainError("FULL", "the account is full")

        await self._called("prepare", lambda: self.participant.prepare(call.key, work))
        return StringValue(value=self.name)

    async def commit(self, call: StepCall) -> None:
        await self._called("commit", lambda: self.participant.commit(call.key))

    async def roll_back(self, call: StepCall) -> None:
        await self._called("roll back", lambda: self.participant.roll_back(call.key))

    async def _called(self, what: str, carry_out: Callable[[], Awaitable[None]]) -> None:
        self.calls.append(what)
        if (waited := self.before(what)) is not None:
            await waited
        try:
            await carry_out()
        except DomainError as error:
            raise _refused(error) from error
        if (waited := self.after(what)) is not None:
            await waited

    async def value(self) -> int:
        row = await self.database.read(lambda tx: tx.fetch_one("SELECT n FROM account"))
        assert row is not None
        return int(row["n"])


@dataclass
class Town:
    """The coordinator's database, the two participants, and what the hooks wrote."""

    database: PostgresDatabase
    left: Bank
    right: Bank
    open: list[TwoPhaseCoordinator] = field(default_factory=list)
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def banks(self) -> tuple[Bank, Bank]:
        return self.left, self.right

    def action(self) -> AtomicAction:
        def branch(bank: Bank) -> Branch:
            return Branch(bank.name, prepare=bank.prepare, commit=bank.commit, roll_back=bank.roll_back)

        async def decided(tx: Transaction, call: StepCall) -> None:
            names = ",".join(StringValue.FromString(call.results[bank.name]).value for bank in self.banks)
            await self._note(tx, f"decided {names}")

        async def aborted(tx: Transaction, call: StepCall, refusal: Refusal) -> None:
            await self._note(tx, f"aborted {refusal.reason}")

        async def ended(tx: Transaction, call: StepCall) -> None:
            await self._note(tx, "ended")

        return AtomicAction("pay", branch(self.left), branch(self.right), decided=decided, aborted=aborted, ended=ended)

    def coordinator(self, *dies_at: str, owner: str = "one", tracer: Tracer | None = None) -> TwoPhaseCoordinator:
        """Makes a coordinator; it dies at the first of these fault points that it reaches."""
        faults = Faults(dict.fromkeys(dies_at, 0), strike=self._die) if dies_at else INERT
        made = TwoPhaseCoordinator(
            self.database, [self.action()], SystemClock(), owner, FAST, faults, service="coordinator", tracer=tracer
        )
        self.open.append(made)
        return made

    async def start(self, coordinator: TwoPhaseCoordinator, subject: str = "S-1") -> SagaRef:
        return await self.database.run(lambda tx: coordinator.start(tx, "pay", subject, 1, b"input"))

    async def pay(self, coordinator: TwoPhaseCoordinator, subject: str = "S-1") -> SagaProgress:
        ref = await self.start(coordinator, subject)
        return await coordinator.wait_ended(ref, SystemClock().monotonic() + LONG)

    async def dies(self, point: str, subject: str = "S-1") -> None:
        """Pays with a coordinator that dies at a fault point; returns when it is dead."""
        coordinator = self.coordinator(point)
        try:
            await self.start(coordinator, subject)
        except Killed:
            return
        async with asyncio.timeout(LONG):
            await self.dead.wait()
        self.dead.clear()
        await asyncio.gather(*coordinator._tasks, return_exceptions=True)

    def _die(self) -> None:
        self.dead.set()
        raise Killed

    async def end_leases(self) -> None:
        """Lets the time of every lease pass."""
        await self.database.run(lambda tx: tx.execute("UPDATE souk_two_phase_run SET lease_until = 0"))

    async def take_over(self) -> TwoPhaseCoordinator:
        """Starts another coordinator after the leases are over; returns it when nothing is left to do."""
        await self.end_leases()
        coordinator = self.coordinator(owner="two")
        await coordinator.sweep()
        rows = await self.database.read(lambda tx: tx.fetch("SELECT subject FROM souk_two_phase_run"))
        for row in rows:
            ref = SagaRef("pay", row["subject"], 1)
            progress = await coordinator.wait_ended(ref, SystemClock().monotonic() + LONG)
            assert progress.ended
        return coordinator

    async def stopped(self, coordinator: TwoPhaseCoordinator) -> None:
        """Waits until a coordinator drives nothing any more."""
        async with asyncio.timeout(LONG):
            await asyncio.gather(*coordinator._tasks)

    async def retry(self, ref: SagaRef) -> bool:
        """Has a run's parked branches tried again, as an operator does."""
        return await self.database.run(lambda tx: retry_parked_branches(tx, ref))

    async def values(self) -> tuple[int, int]:
        return await self.left.value(), await self.right.value()

    async def standing(self) -> int:
        return sum([len(await bank.participant.standing()) for bank in self.banks])

    async def notes(self) -> list[str]:
        rows = await self.database.read(lambda tx: tx.fetch("SELECT text FROM note ORDER BY id"))
        return [row["text"] for row in rows]

    async def _note(self, tx: Transaction, text: str) -> None:
        await tx.execute("INSERT INTO note (text) VALUES ($1)", text)


_TABLES = {
    "own": ("CREATE TABLE note (id BIGINT GENERATED ALWAYS AS IDENTITY, text TEXT NOT NULL)",),
    "left": ("CREATE TABLE account (n BIGINT NOT NULL)", "INSERT INTO account (n) VALUES (0)"),
    "right": ("CREATE TABLE account (n BIGINT NOT NULL)", "INSERT INTO account (n) VALUES (0)"),
}
_EMPTIED = ("DELETE FROM souk_two_phase_parked", "DELETE FROM souk_two_phase_run", "DELETE FROM souk_two_phase_branch")


@pytest.fixture(scope="module")
def urls(postgres_server: TemporaryPostgres) -> Iterator[Mapping[str, str]]:
    """The databases of the tests of a module, made once."""

    async def make(name: str) -> str:
        url = await postgres_server.create_database()
        database = await PostgresDatabase.open(url)
        await migrate(database, platform_migrations(), PLATFORM)
        await run_all(database, _TABLES[name])
        await database.close()
        return url

    made = {name: asyncio.run(make(name)) for name in _TABLES}
    yield made
    for url in made.values():
        asyncio.run(postgres_server.drop_database(url))


async def run_all(database: PostgresDatabase, statements: Iterable[str]) -> None:
    """Runs statements in one transaction."""

    async def work(tx: Transaction) -> None:
        for statement in statements:
            await tx.execute(statement)

    await database.run(work)


@pytest.fixture
async def town(urls: Mapping[str, str]) -> AsyncIterator[Town]:
    opened = {name: await PostgresDatabase.open(url, most=4, patience=0.5) for name, url in urls.items()}
    await run_all(opened["own"], (*_EMPTIED, "DELETE FROM note"))
    for name in ("left", "right"):
        await run_all(opened[name], (*_EMPTIED, "UPDATE account SET n = 0"))
    banks = [Bank(name, opened[name], TwoPhaseParticipant(opened[name])) for name in ("left", "right")]
    town = Town(opened["own"], *banks)
    yield town
    await asyncio.gather(*(coordinator.close() for coordinator in town.open))
    for bank in banks:
        for branch in await bank.participant.standing():
            await bank.participant.roll_back(branch.name)
    for database in opened.values():
        await database.close()
