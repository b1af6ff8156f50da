"""The coordinator's records, in the database of its service. The database's clock judges leases.

Every change of a phase is conditional on the phase before it. So a coordinator that was taken for dead decides nothing
after somebody else has aborted its run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import LeaseLost
from souk.saga.definition import Refusal, SagaRef
from souk.saga.store import SagaOutcome, SagaProgress
from souk.store.database import Row, Transaction
from souk.two_phase_commit.machine import TwoPhase

_COMMITS = frozenset({TwoPhase.COMMITTING, TwoPhase.COMMITTED})


@dataclass(frozen=True, slots=True)
class TwoPhaseHeld:
    """A recorded run, as its driver got it."""

    ref: SagaRef
    input: bytes
    on_behalf_of: str
    traceparent: str
    phase: TwoPhase
    refusal: Refusal | None = None
    tracestate: str = ""

    @property
    def key(self) -> str:
        """The name of the run with its participants."""
        return key_of(self.ref)


def key_of(ref: SagaRef) -> str:
    """Returns the key of a run: `<subject>:<attempt>`."""
    return f"{ref.subject}:{ref.attempt}"


class TwoPhaseStore:
    """All SQL of the coordinator; `owner` is this process, `lease` is in seconds."""

    def __init__(self, owner: str, lease: float) -> None:
        self._owner = owner
        self._lease = round(lease * MICROSECONDS)

    async def insert(self, tx: Transaction, held: TwoPhaseHeld) -> None:
        """Records a new run, held by this owner."""
        now, ref = tx.dialect.now, held.ref
        await tx.write(
            f"""INSERT INTO souk_two_phase_run (key, name, subject, attempt, phase, ended, input, on_behalf_of,
                    traceparent, owner, lease_until, started_at, changed_at, tracestate)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, {now} + $11, {now}, {now}, $12)""",
            *(held.key, ref.name, ref.subject, ref.attempt, held.phase.value, False),
            *(held.input, held.on_behalf_of, held.traceparent, self._owner, self._lease, held.tracestate),
        )

    async def decide(self, tx: Transaction, held: TwoPhaseHeld) -> bool:
        """Records the decision to commit. Returns False if it is recorded; raises LeaseLost if the run was aborted."""
        return await self._change(tx, held, TwoPhase.PREPARING, TwoPhase.COMMITTING, _COMMITS)

    async def abort(self, tx: Transaction, held: TwoPhaseHeld, refusal: Refusal) -> bool:
        """Records that the run aborts, and why. Returns False if it is recorded; raises LeaseLost if it commits."""
        aborts = frozenset({TwoPhase.ABORTING, TwoPhase.ABORTED})
        if not await self._change(tx, held, TwoPhase.PREPARING, TwoPhase.ABORTING, aborts):
            return False
        await tx.execute(
            """UPDATE souk_two_phase_run SET refused_step = $2, reason = $3, detail = $4, status = $5, sent = $6,
                   final = $7 WHERE key = $1""",
            *(held.key, refusal.step, refusal.reason, refusal.detail, refusal.status, refusal.sent, refusal.final),
        )
        return True

    async def end(self, tx: Transaction, held: TwoPhaseHeld, phase: TwoPhase) -> bool:
        """Records that nothing is left to do, and drops the input. Returns False if that is recorded."""
        sql = f"""UPDATE souk_two_phase_run SET phase = $2, ended = $3, input = $4, changed_at = {tx.dialect.now}
                  WHERE key = $1 AND NOT ended"""
        return await tx.execute(sql, held.key, phase.value, True, b"") == 1

    async def park(self, tx: Transaction, held: TwoPhaseHeld, reasons: Mapping[str, str], tries: int) -> None:
        """Records that these branches, by name, are refused for these reasons, and lets go of the run: nobody takes it
        over while they are recorded. Raises LeaseLost if another owner has it."""
        now = tx.dialect.now
        sql = "UPDATE souk_two_phase_run SET lease_until = 0 WHERE key = $1 AND owner = $2 AND NOT ended"
        if await tx.execute(sql, held.key, self._owner) != 1:
            raise LeaseLost(f"{held.ref} is driven by another process")
        await tx.execute_many(
            f"INSERT INTO souk_two_phase_parked (key, branch, reason, tries, since) VALUES ($1, $2, $3, $4, {now})",
            [(held.key, branch, reasons[branch], tries) for branch in sorted(reasons)],
        )

    async def renew(self, tx: Transaction, keys: Sequence[str]) -> None:
        """Extends the leases of those of these runs that have a decision: only carrying it out is left."""
        sql = f"""UPDATE souk_two_phase_run SET lease_until = {tx.dialect.now} + $3
                  WHERE key = $1 AND owner = $2 AND NOT ended AND phase <> 'preparing'"""
        await tx.execute_many(sql, [(key, self._owner, self._lease) for key in sorted(keys)])

    async def release(self, tx: Transaction) -> None:
        """Ends all leases of this owner, so that others do not wait until they run out."""
        await tx.execute("UPDATE souk_two_phase_run SET lease_until = 0 WHERE owner = $1 AND NOT ended", self._owner)

    async def take(self, tx: Transaction, limit: int) -> list[TwoPhaseHeld]:
        """Takes over runs whose lease is over, the longest waiting first; not those that wait for an operator."""
        rows = await tx.fetch(
            f"""SELECT * FROM souk_two_phase_run WHERE NOT ended AND lease_until < {tx.dialect.now}
                  AND NOT EXISTS (SELECT 1 FROM souk_two_phase_parked p WHERE p.key = souk_two_phase_run.key)
                ORDER BY lease_until LIMIT $1 {tx.dialect.skip_locked}""",
            limit,
        )
        sql = f"UPDATE souk_two_phase_run SET owner = $2, lease_until = {tx.dialect.now} + $3 WHERE key = $1"
        for row in rows:
            await tx.execute(sql, row["key"], self._owner, self._lease)
        return [_held(row) for row in rows]

    async def progress(self, tx: Transaction, ref: SagaRef) -> SagaProgress:
        """Returns the progress of a run. Raises LookupError if there is no such run."""
        sql = """SELECT *, EXISTS (SELECT 1 FROM souk_two_phase_parked p WHERE p.key = r.key) AS parked
                 FROM souk_two_phase_run r WHERE key = $1 AND name = $2"""
        row = await tx.fetch_one(sql, key_of(ref), ref.name)
        if row is None:
            raise LookupError(f"no run {ref}")
        progress = progress_of(TwoPhase(row["phase"]), _refusal(row), ended=bool(row["ended"]))
        return replace(progress, parked=bool(row["parked"]))

    async def open(self, tx: Transaction, subject: str) -> bool:
        """Returns whether a run of `subject` has not ended."""
        sql = "SELECT 1 AS one FROM souk_two_phase_run WHERE subject = $1 AND NOT ended LIMIT 1"
        return await tx.fetch_one(sql, subject) is not None

    async def phase(self, tx: Transaction, key: str) -> TwoPhase | None:
        """Returns the phase of a run; None for one that is not recorded."""
        row = await tx.fetch_one("SELECT phase FROM souk_two_phase_run WHERE key = $1", key)
        return None if row is None else TwoPhase(row["phase"])

    async def _change(
        self, tx: Transaction, held: TwoPhaseHeld, old: TwoPhase, new: TwoPhase, same: frozenset[TwoPhase]
    ) -> bool:
        now = tx.dialect.now
        sql = f"""UPDATE souk_two_phase_run SET phase = $3, lease_until = {now} + $4, changed_at = {now}
                  WHERE key = $1 AND phase = $2"""
        if await tx.execute(sql, held.key, old.value, new.value, self._lease, expect_rows=1) == 1:
            return True
        if await self.phase(tx, held.key) not in same:
            raise LeaseLost(f"{held.ref} was decided by another process")
        return False


def progress_of(phase: TwoPhase, refusal: Refusal | None, *, ended: bool) -> SagaProgress:
    """Returns the progress of a run as its phase is recorded."""
    if phase is TwoPhase.PREPARING:
        return SagaProgress(SagaOutcome.RUNNING)
    if phase in _COMMITS:
        return SagaProgress(SagaOutcome.COMMITTED, ended=ended)
    return SagaProgress(SagaOutcome.REJECTED, refusal, ended=ended)


def _held(row: Row) -> TwoPhaseHeld:
    ref = SagaRef(row["name"], row["subject"], row["attempt"])
    origin = row["input"], row["on_behalf_of"], row["traceparent"]
    return TwoPhaseHeld(ref, *origin, TwoPhase(row["phase"]), _refusal(row), row["tracestate"])


def _refusal(row: Row) -> Refusal | None:
    if not row["reason"]:
        return None
    status, sent, final = row["status"], bool(row["sent"]), bool(row["final"])
    return Refusal(row["refused_step"], row["reason"], row["detail"], status or b"", sent, final)
