"""The records of sagas, in the database of the service that runs them.

Every write by a run's owner is conditional on the lease's epoch and raises LeaseLost when another
owner has taken over. Leases are measured by the database's clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain

from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import LeaseLost
from souk.saga.definition import Refusal, SagaRef
from souk.saga.run import ENDED, Held, Run, StepNames, StepRun
from souk.saga.states import Phase, StepState
from souk.saga.step_rows import step_values, upsert_steps
from souk.saga.takeover import taken
from souk.saga.waiting import rest
from souk.store.database import Transaction, Value

CHANNEL = "souk_saga"
"""The database channel that is notified when a run's outcome or end is committed."""

_RUN = "subject = $1 AND saga = $2 AND attempt = $3"


class SagaOutcome(Enum):
    """The committed outcome of a saga, or RUNNING."""

    RUNNING = "running"
    COMMITTED = "committed"
    REJECTED = "rejected"


_OUTCOMES = {
    Phase.RUNNING: SagaOutcome.RUNNING,
    Phase.TURNED_BACK: SagaOutcome.RUNNING,
    Phase.COMMITTED: SagaOutcome.COMMITTED,
    Phase.COMPLETED: SagaOutcome.COMMITTED,
    Phase.REJECTED: SagaOutcome.REJECTED,
    Phase.COMPENSATED: SagaOutcome.REJECTED,
}


@dataclass(frozen=True, slots=True)
class SagaProgress:
    """The progress of a run.

    `refusal` is why it was REJECTED. `ended` says that nothing is left to do; `parked` says that a
    step waits for an operator.
    """

    outcome: SagaOutcome
    refusal: Refusal | None = None
    ended: bool = False
    parked: bool = False


def progress_of(run: Run) -> SagaProgress:
    """Returns the progress of `run`."""
    return _progress(run.phase, run.refusal, parked=run.parked)


def _progress(phase: Phase, refusal: Refusal | None, *, parked: bool) -> SagaProgress:
    outcome = _OUTCOMES[phase]
    return SagaProgress(outcome, refusal if outcome is SagaOutcome.REJECTED else None, phase in ENDED, parked)


class SagaStore:
    """All SQL of sagas. `step_names` gives the steps of a saga's version, in order; `lease` is in seconds."""

    def __init__(self, step_names: StepNames, owner: str, lease: float) -> None:
        self._step_names = step_names
        self._owner = owner
        self._lease = round(lease * MICROSECONDS)

    async def insert(self, tx: Transaction, held: Held) -> None:
        """Records a new run, held by this owner."""
        run, ref, now = held.run, held.ref, tx.dialect.now
        await tx.write(
            f"""INSERT INTO souk_saga_run (subject, saga, attempt, phase, active, parked, ended, input, on_behalf_of,
                    traceparent, owner, epoch, lease_until, deadline_at, started_at, changed_at, version, fingerprint,
                    tracestate, releases)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, {now} + $13, {now} + $14, {now}, {now},
                    $15, $16, $17, $18)""",
            *(ref.subject, ref.name, ref.attempt, run.phase.value, _active(run), run.parked, run.ended),
            *(held.input, held.on_behalf_of, held.traceparent, self._owner, held.epoch),
            *(self._lease, round(held.remaining * MICROSECONDS), held.version, held.fingerprint, held.tracestate),
            held.releases,
        )
        await self._write_steps(tx, held, ((index, step, StepRun()) for index, step in enumerate(run.steps)))

    async def record(
        self, tx: Transaction, held: Held, revision: int, old: Run, new: Run, releases: str | None = None
    ) -> bool:
        """Records `new` in place of `old`, which is at `revision`, and extends the lease. With `releases`, the run has
        met these by now.

        Returns false when this very write exists already: it was committed, and only the answer was lost.
        Raises LeaseLost.
        """
        now = tx.dialect.now
        leave = rest.leaving(now) if rest.is_left(old, new) else ""
        changed = await tx.execute(
            f"""UPDATE souk_saga_run SET phase = $4, active = $5, parked = $6, ended = $7, changed_at = {now},
                    lease_until = {now} + $8, revision = revision + 1, asked = '', releases = $11{leave}
                WHERE {_RUN} AND epoch = $9 AND revision = $10""",
            *_key(held.ref),
            *(new.phase.value, _active(new), new.parked, new.ended, self._lease, held.epoch, revision),
            held.releases if releases is None else releases,
            expect_rows=1,
        )
        if not changed:
            # Within an epoch only one owner writes, one write at a time: a newer revision comes from this same write.
            if not await self.renew(tx, held):
                raise LeaseLost(f"{held.ref} is in other hands")
            return False
        if new.refusal is not None and old.refusal is None:
            await self._write_refusal(tx, held.ref, new.refusal)
        steps = enumerate(zip(new.steps, old.steps, strict=True))
        await self._write_steps(tx, held, ((index, step, before) for index, (step, before) in steps if step != before))
        return True

    async def renew(self, tx: Transaction, held: Held) -> bool:
        """Extends the lease. Returns false when another owner has the run, or nobody, as it waits."""
        until = f"{tx.dialect.now} + $4"
        sql = f"UPDATE souk_saga_run SET lease_until = {until} WHERE {_RUN} AND epoch = $5 AND owner = $6"
        return await tx.execute(sql, *_key(held.ref), self._lease, held.epoch, self._owner) > 0

    async def let_go(self, tx: Transaction, held: Held) -> None:
        """Ends the lease of one run, so that others do not wait until it runs out."""
        sql = f"UPDATE souk_saga_run SET lease_until = 0 WHERE {_RUN} AND epoch = $4"
        await tx.execute(sql, *_key(held.ref), held.epoch)

    async def release(self, tx: Transaction) -> None:
        """Ends all leases of this owner, so that others do not wait until they run out."""
        await tx.execute("UPDATE souk_saga_run SET lease_until = 0 WHERE active AND owner = $1", self._owner)

    async def take(self, tx: Transaction, refs: Sequence[SagaRef]) -> list[Held]:
        """Takes runs over for this owner, each in its next epoch. Raises LookupError if one of them does not exist."""
        return await taken.take(tx, refs, self._owner, self._lease, self._step_names)

    async def previous(self, tx: Transaction, ref: SagaRef) -> str:
        """Returns the `traceparent` of the attempt before this one; empty if there is none."""
        return (await taken.previous_of(tx, [ref])).get(ref, "")

    async def progress(self, tx: Transaction, ref: SagaRef) -> SagaProgress:
        """Returns the progress of a run. Raises LookupError if there is no such run."""
        row = await tx.fetch_one(
            f"""SELECT phase, parked, refused_step, reason, detail, status, sent, final
                FROM souk_saga_run WHERE {_RUN}""",
            *_key(ref),
        )
        if row is None:
            raise LookupError(f"no run {ref}")
        return _progress(Phase(row["phase"]), taken.refusal_of(row), parked=bool(row["parked"]))

    async def open(self, tx: Transaction, subject: str) -> bool:
        """Returns whether a run of `subject` has not ended."""
        sql = "SELECT 1 AS one FROM souk_saga_run WHERE subject = $1 AND NOT ended LIMIT 1"
        return await tx.fetch_one(sql, subject) is not None

    async def _write_steps(self, tx: Transaction, held: Held, steps: Iterable[tuple[int, StepRun, StepRun]]) -> None:
        """Writes steps, each given by its index, as it is, and as it was."""
        names = self._step_names(held.ref.name, held.version)
        rows: list[tuple[Value, ...]] = [
            step_values(names[index], step, before)
            for index, step, before in steps
            if step.state is not StepState.WAITING
        ]
        if rows:
            await tx.write(upsert_steps(len(rows), tx.dialect.now), *_key(held.ref), *chain.from_iterable(rows))

    async def _write_refusal(self, tx: Transaction, ref: SagaRef, refusal: Refusal) -> None:
        await tx.write(
            f"""UPDATE souk_saga_run SET refused_step = $4, reason = $5, detail = $6, status = $7, sent = $8,
                    final = $9 WHERE {_RUN}""",
            *(*_key(ref), refusal.step, refusal.reason, refusal.detail),
            *(refusal.status, refusal.sent, refusal.final),
        )


def _active(run: Run) -> bool:
    """Whether a runner has to work on the run, now or when what it waits for is there."""
    return run.active or run.awaiting is not None


def _key(ref: SagaRef) -> tuple[str, str, int]:
    return ref.subject, ref.name, ref.attempt
