"""A saga with participants of its own, for tests of every failure.

    reserve (stock) -> charge (bank) -> confirm | -> ship (depot)
    reserve (stock) -> approval -> charge (bank) -> confirm | -> cooling off -> ship (depot)       one that waits

Each participant records what it did under a key in a SQLite file of its own, which survives the process that
called it. Its `effects` add up to 1 for a step that stands and to 0 for one that was undone.
"""

import asyncio
import sqlite3
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from souk.descriptors.contract import Reason
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.context import CallContext, current
from souk.kernel.errors import FORBIDDEN, DomainError
from souk.kernel.errors import Outcome as CallOutcome
from souk.rpc.call import CallFailed, not_sent
from souk.rpc.status import STATUS_KEY, encode
from souk.saga.definition import Refusal, Saga, SagaRef, Step, StepCall, parallel
from souk.saga.runner import SagaOutcome, SagaProgress, SagaRunner
from souk.saga.waiting.saga_message import MessageReceipt, SagaMessage
from souk.saga.waits import receive, timer
from souk.store.database import Database, Transaction
from souk.testing.store.migrated import bring_up_to_date, migrated_sqlite

FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
PATIENCE = 60.0
"""Seconds that a test waits for an expected event."""

REFUSE, NOT_SENT, LOST, VANISH, TURNED_AWAY = "refuse", "not sent", "lost", "vanish", "turned away"
NOT_NOW = "not now"
"""How a call may fail: it is refused; it is not sent; its answer is lost; the call itself is lost; it is
refused because the caller is not believed; it is refused for now."""


def refused(reason: str, *, final: bool = True) -> CallFailed:
    """Makes the error that a stub raises for a refusal with a status."""
    status = encode(DomainError(reason, "no means no"), FAILED_PRECONDITION, "test")
    trailing = grpc.aio.Metadata((STATUS_KEY, status))
    refusal = Reason(reason, FAILED_PRECONDITION, 409, final=final)
    return CallFailed(FAILED_PRECONDITION, None, trailing, "no means no", outcome=CallOutcome.REFUSED, refusal=refusal)


def turned_away() -> CallFailed:
    """Makes the error that a stub raises when the participant does not accept the caller's identity."""
    code = grpc.StatusCode.PERMISSION_DENIED
    refusal = Reason(FORBIDDEN, code, 403, final=True)
    return CallFailed(code, details="the caller may not do this", outcome=CallOutcome.REFUSED, refusal=refusal)


def approved(body: bytes) -> None:
    """Refuses an approval that says no."""
    if StringValue.FromString(body).value == "no":
        raise DomainError("NOT_APPROVED", "somebody minds")


def lost() -> CallFailed:
    """Makes the error that a stub raises when no answer comes."""
    return CallFailed(grpc.StatusCode.UNAVAILABLE, details="connection reset")


@dataclass
class Participant:
    """A participant whose calls are idempotent by key and durable; an undo of an unknown key blocks a late do.

    `does` and `undoes` are the failures of the next calls; a call whose entry is an event waits for it first.
    """

    path: Path
    idempotent: bool = True
    does: deque[str | asyncio.Event] = field(default_factory=deque)
    undoes: deque[str | asyncio.Event] = field(default_factory=deque)
    calls: list[tuple[str, str]] = field(default_factory=list)
    contexts: list[CallContext] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._file = sqlite3.connect(self.path, isolation_level=None)
        # Tests kill the process, not the machine.
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute("CREATE TABLE IF NOT EXISTS deed (key TEXT PRIMARY KEY, undone INTEGER NOT NULL)")
        self._file.execute("CREATE TABLE IF NOT EXISTS effect (key TEXT NOT NULL, amount INTEGER NOT NULL)")

    async def do(self, call: StepCall) -> Message:
        """Makes the effect of a step, once for each key."""
        meets = await self._arrive("do", call.key, self.does)
        if self._undone(call.key):
            raise refused("TAKEN_BACK")
        if meets == REFUSE:
            raise refused("NO")
        with self._file:
            if self._undone(call.key) is None or not self.idempotent:
                self._file.execute("INSERT OR IGNORE INTO deed VALUES (?, 0)", (call.key,))
                self._file.execute("INSERT INTO effect VALUES (?, 1)", (call.key,))
        if meets == LOST:
            raise lost()
        return StringValue(value=f"did {call.key}")

    async def undo(self, call: StepCall) -> None:
        """Undoes the effect of a step, once for each key."""
        meets = await self._arrive("undo", call.key, self.undoes)
        before = self._undone(call.key)
        with self._file:
            self._file.execute("INSERT OR REPLACE INTO deed VALUES (?, 1)", (call.key,))
            if before is False or not self.idempotent:
                self._file.execute("INSERT INTO effect VALUES (?, -1)", (call.key,))
        if meets == LOST:
            raise lost()

    def effects(self, subject: str) -> int:
        """Returns the sum of the effects for a subject."""
        sql = "SELECT coalesce(sum(amount), 0) FROM effect WHERE key LIKE ? || ':%'"
        return int(self._file.execute(sql, (subject,)).fetchone()[0])

    def close(self) -> None:
        """Closes its file."""
        self._file.close()

    def _undone(self, key: str) -> bool | None:
        row = self._file.execute("SELECT undone FROM deed WHERE key = ?", (key,)).fetchone()
        return None if row is None else bool(row[0])

    async def _arrive(self, what: str, key: str, script: deque[str | asyncio.Event]) -> str:
        self.calls.append((what, key))
        self.contexts.append(current())
        self.called.set()
        meets = script.popleft() if script else ""
        if isinstance(meets, asyncio.Event):
            await meets.wait()
            return ""
        if meets == NOT_SENT:
            raise not_sent("the breaker is open")
        if meets == TURNED_AWAY:
            raise turned_away()
        if meets == NOT_NOW:
            raise refused("NOT_NOW", final=False)
        if meets == VANISH:
            raise lost()
        return meets


@dataclass
class Shop:
    """The service that runs the saga: its database and its three participants.

    In a `wide` one the stock and the bank are asked beside each other. One with an `approval` waits that many seconds
    for a message of this name, whose key is the subject, and `cooling` seconds after the pivot. Without a message it is
    refused, unless it `goes_on`.
    """

    folder: Path
    database: Database
    idempotent: bool = True
    deadline: float = 60.0
    try_timeout: float = 5.0
    wide: bool = False
    approval: float = 0.0
    cooling: float = 0.01
    goes_on: bool = False

    @classmethod
    async def open(
        cls, folder: Path, *, clock: Clock | None = None, database: Database | None = None, **options: float | bool
    ) -> "Shop":
        """Opens it on the files in `folder`, which are kept, or on a database of another engine."""
        if database is None:
            database = await migrated_sqlite(folder / "shop.db", clock or SystemClock())
        else:
            await bring_up_to_date(database)

        async def tables(tx: Transaction) -> None:
            await tx.execute(
                "CREATE TABLE IF NOT EXISTS story (subject TEXT NOT NULL, place BIGINT NOT NULL, what TEXT NOT NULL)"
            )

        await database.run(tables)
        return cls(folder, database, **options)  # type: ignore[arg-type]  # each option has a type of its own

    def __post_init__(self) -> None:
        names = ("stock", "bank", "depot")
        self.participants = [Participant(self.folder / f"{name}.db", self.idempotent) for name in names]
        self.stock, self.bank, self.depot = self.participants

    def saga(self) -> Saga:
        """Makes the saga; its hooks write the subject's story."""
        limit = self.try_timeout
        first = (
            Step("reserve", do=self.stock.do, undo=self.stock.undo, record=self._reserved, try_timeout=limit),
            Step("charge", do=self.bank.do, undo=self.bank.undo, outcome_waits=False, try_timeout=limit),
        )
        before: tuple[Step, ...] = parallel(*first) if self.wide else first
        after: tuple[Step, ...] = ()
        if self.approval:
            otherwise = StringValue(value="nobody minds") if self.goes_on else None
            approval = receive(
                "approval", limit=self.approval, check=approved, otherwise=otherwise, record=self._approved
            )
            before = (*before, approval) if self.wide else (before[0], approval, before[1])
            after = (timer("cooling off", self.cooling),)
        return Saga(
            "place",
            *before,
            Step("confirm", record=self._confirmed, pivot=True),
            *after,
            Step("ship", do=self.depot.do, try_timeout=limit),
            rejected=self._rejected,
            ended=self._ended,
            deadline=self.deadline,
        )

    async def start(self, runner: SagaRunner, subject: str = "O-1", attempt: int = 1) -> SagaRef:
        """Starts the saga in a transaction of its own."""

        async def work(tx: Transaction) -> SagaRef:
            await self._write_story(tx, subject, "placed")
            return await runner.start(tx, "place", subject, attempt, b"input", "U-1")

        return await self.database.run(work)

    async def deliver(
        self, runner: SagaRunner, subject: str = "O-1", verdict: str = "yes", message_id: str = "M-1"
    ) -> MessageReceipt:
        """Delivers an approval in a transaction of its own."""
        message = SagaMessage("approval", subject, message_id, StringValue(value=verdict).SerializeToString())
        return await self.database.run(lambda tx: runner.deliver(tx, message))

    async def story(self, subject: str = "O-1") -> list[str]:
        """Returns what the hooks wrote, in order."""

        async def work(tx: Transaction) -> list[str]:
            rows = await tx.fetch("SELECT what FROM story WHERE subject = $1 ORDER BY place", subject)
            return [row["what"] for row in rows]

        return await self.database.read(work)

    async def close(self) -> None:
        """Closes all files."""
        await self.database.close()
        for participant in self.participants:
            participant.close()

    async def _reserved(self, tx: Transaction, call: StepCall, result: bytes) -> None:
        await self._write_story(tx, call.ref.subject, "reserved")

    async def _approved(self, tx: Transaction, call: StepCall, result: bytes) -> None:
        await self._write_story(tx, call.ref.subject, f"approved: {StringValue.FromString(result).value}")

    async def _confirmed(self, tx: Transaction, call: StepCall, result: bytes) -> None:
        charged = StringValue.FromString(call.results["charge"]).value
        await self._write_story(tx, call.ref.subject, f"confirmed: {charged}")

    async def _rejected(self, tx: Transaction, call: StepCall, refusal: Refusal) -> None:
        await self._write_story(tx, call.ref.subject, f"rejected: {refusal.step} {refusal.reason}")

    async def _ended(self, tx: Transaction, call: StepCall) -> None:
        await self._write_story(tx, call.ref.subject, "ended")

    async def _write_story(self, tx: Transaction, subject: str, what: str) -> None:
        await tx.execute("INSERT INTO story SELECT $1, count(*), $2 FROM story WHERE subject = $1", subject, what)


async def violations(shop: Shop, progress: SagaProgress | None, subject: str = "O-1") -> list[str]:
    """Returns what is wrong with a subject whose saga has ended; `progress` is None if it was never recorded."""
    effects = [participant.effects(subject) for participant in shop.participants]
    story = await shop.story(subject)
    if progress is None:
        return [] if (effects, story) == ([0, 0, 0], []) else [f"nothing was recorded, yet {effects} {story}"]
    found = [] if progress.ended else ["it has not ended"]
    if len(set(story)) != len(story) or story[-1] != "ended":
        found.append(f"the hooks did not run once and in order: {story}")
    committed = progress.outcome is SagaOutcome.COMMITTED
    if any(what.startswith("confirmed") for what in story) is not committed:
        found.append(f"the outcome is {progress.outcome}, the story {story}")
    if effects != ([1, 1, 1] if committed else [0, 0, 0]):
        found.append(f"the outcome is {progress.outcome}, the participants have {effects}")
    return found
