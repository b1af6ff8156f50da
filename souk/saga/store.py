"""The records of sagas, in the database of the service that runs them.

Every write by a run's owner is conditional on the lease's epoch and raises LeaseLost when another
owner has taken over. Leases are measured by the database's clock.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import chain

from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import LeaseLost
from souk.saga.definition import Refusal, SagaRef
from souk.saga.run import ENDED, Run, StepRun
from souk.saga.states import Phase, StepState
from souk.saga.versions import FIRST, SagaVersions
from souk.store.database import Row, Transaction, Value

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


@dataclass(frozen=True, slots=True)
class Held:
    """A run that an owner holds under a lease. `remaining` is the time to its deadline in seconds.

    `revision` is the number of writes to the run before the owner took it. `version` and `fingerprint` are those of
    the definition that it began with. `asked` is what an operator asked of the run that the owner is to do first.
    """

    ref: SagaRef
    epoch: int
    revision: int
    input: bytes
    on_behalf_of: str
    traceparent: str
    remaining: float
    run: Run
    version: int = FIRST
    fingerprint: str = ""
    asked: str = ""


StepNames = Callable[[str, int], Sequence[str]]


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
                    traceparent, owner, epoch, lease_until, deadline_at, started_at, changed_at, version, fingerprint)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, {now} + $13, {now} + $14, {now}, {now},
                    $15, $16)""",
            *(ref.subject, ref.name, ref.attempt, run.phase.value, run.active, run.parked, run.ended),
            *(held.input, held.on_behalf_of, held.traceparent, self._owner, held.epoch),
            *(self._lease, round(held.remaining * MICROSECONDS), held.version, held.fingerprint),
        )
        await self._write_steps(tx, held, enumerate(run.steps))

    async def record(self, tx: Transaction, held: Held, revision: int, old: Run, new: Run) -> bool:
        """Records `new` in place of `old`, which is at `revision`, and extends the lease.

        Returns false when this very write exists already: it was committed, and only the answer was lost.
        Raises LeaseLost.
        """
        now = tx.dialect.now
        changed = await tx.execute(
            f"""UPDATE souk_saga_run SET phase = $4, active = $5, parked = $6, ended = $7, changed_at = {now},
                    lease_until = {now} + $8, revision = revision + 1, asked = ''
                WHERE {_RUN} AND epoch = $9 AND revision = $10""",
            *_key(held.ref),
            *(new.phase.value, new.active, new.parked, new.ended, self._lease, held.epoch, revision),
            expect_rows=1,
        )
        if not changed:
            # Within an epoch only one owner writes, one write at a time: a newer revision comes from this same write.
            if not await self.renew(tx, held):
                raise LeaseLost(f"{held.ref} is in other hands")
            return False
        if new.refusal is not None and old.refusal is None:
            await self._write_refusal(tx, held.ref, new.refusal)
        changes = (index for index, step in enumerate(new.steps) if step != old.steps[index])
        await self._write_steps(tx, held, ((index, new.steps[index]) for index in changes))
        return True

    async def renew(self, tx: Transaction, held: Held) -> bool:
        """Extends the lease. Returns false when another owner has the run."""
        until = f"{tx.dialect.now} + $4"
        sql = f"UPDATE souk_saga_run SET lease_until = {until} WHERE {_RUN} AND epoch = $5"
        return await tx.execute(sql, *_key(held.ref), self._lease, held.epoch) > 0

    async def let_go(self, tx: Transaction, held: Held) -> None:
        """Ends the lease of one run, so that others do not wait until it runs out."""
        sql = f"UPDATE souk_saga_run SET lease_until = 0 WHERE {_RUN} AND epoch = $4"
        await tx.execute(sql, *_key(held.ref), held.epoch)

    async def release(self, tx: Transaction) -> None:
        """Ends all leases of this owner, so that others do not wait until they run out."""
        await tx.execute("UPDATE souk_saga_run SET lease_until = 0 WHERE active AND owner = $1", self._owner)

    async def abandoned(self, tx: Transaction, limit: int, versions: SagaVersions) -> list[SagaRef]:
        """Returns runs with work to do and an expired lease, the longest waiting first, if they began by one of these.

        They stay locked until the transaction ends, if the database locks rows.
        """
        drivable, values = versions.drivable(2)
        rows = await tx.fetch(
            f"""SELECT subject, saga, attempt FROM souk_saga_run r
                WHERE active AND paused_at = 0 AND lease_until < {tx.dialect.now} AND {drivable}
                ORDER BY lease_until LIMIT $1 {tx.dialect.skip_locked}""",
            *(limit, *values),
        )
        return [_ref(row) for row in rows]

    async def take(self, tx: Transaction, ref: SagaRef) -> Held:
        """Takes a run over for this owner, in the next epoch. Raises LookupError if there is no such run."""
        now = tx.dialect.now
        row = await tx.fetch_one(
            f"""UPDATE souk_saga_run SET owner = $4, epoch = epoch + 1, lease_until = {now} + $5 WHERE {_RUN}
                RETURNING epoch, revision, input, on_behalf_of, traceparent, deadline_at - {now} AS remaining,
                    phase, refused_step, reason, detail, status, sent, final, version, fingerprint, asked""",
            *(*_key(ref), self._owner, self._lease),
        )
        if row is None:
            raise LookupError(f"no run {ref}")
        run = Run(Phase(row["phase"]), await self._steps(tx, ref, row["version"]), _refusal(row))
        left = row["remaining"] / MICROSECONDS
        origin = row["input"], row["on_behalf_of"], row["traceparent"]
        begun = row["version"], row["fingerprint"]
        return Held(ref, row["epoch"], row["revision"], *origin, left, run, *begun, row["asked"])

    async def progress(self, tx: Transaction, ref: SagaRef) -> SagaProgress:
        """Returns the progress of a run. Raises LookupError if there is no such run."""
        row = await tx.fetch_one(
            f"""SELECT phase, parked, refused_step, reason, detail, status, sent, final
                FROM souk_saga_run WHERE {_RUN}""",
            *_key(ref),
        )
        if row is None:
            raise LookupError(f"no run {ref}")
        return _progress(Phase(row["phase"]), _refusal(row), parked=bool(row["parked"]))

    async def open(self, tx: Transaction, subject: str) -> bool:
        """Returns whether a run of `subject` has not ended."""
        sql = "SELECT 1 AS one FROM souk_saga_run WHERE subject = $1 AND NOT ended LIMIT 1"
        return await tx.fetch_one(sql, subject) is not None

    async def _write_steps(self, tx: Transaction, held: Held, steps: Iterable[tuple[int, StepRun]]) -> None:
        names = self._step_names(held.ref.name, held.version)
        rows: list[tuple[Value, ...]] = [
            (names[index], step.state.value, step.tries, step.sent, step.result, step.note)
            for index, step in steps
            if step.state is not StepState.WAITING
        ]
        if rows:
            await tx.write(_upsert(len(rows), tx.dialect.now), *_key(held.ref), *chain.from_iterable(rows))

    async def _write_refusal(self, tx: Transaction, ref: SagaRef, refusal: Refusal) -> None:
        await tx.write(
            f"""UPDATE souk_saga_run SET refused_step = $4, reason = $5, detail = $6, status = $7, sent = $8,
                    final = $9 WHERE {_RUN}""",
            *(*_key(ref), refusal.step, refusal.reason, refusal.detail),
            *(refusal.status, refusal.sent, refusal.final),
        )

    async def _steps(self, tx: Transaction, ref: SagaRef, version: int) -> tuple[StepRun, ...]:
        sql = f"SELECT step, state, tries, sent, result, note FROM souk_saga_step WHERE {_RUN}"
        rows = {row["step"]: row for row in await tx.fetch(sql, *_key(ref))}
        return _in_order(rows, self._step_names(ref.name, version))


@cache
def _upsert(steps: int, now: str) -> str:
    """Returns the statement that writes `steps` steps of a run."""
    rows = (", ".join(f"${number}" for number in range(4 + 6 * step, 10 + 6 * step)) for step in range(steps))
    return f"""
        INSERT INTO souk_saga_step (subject, saga, attempt, step, state, tries, sent, result, note, changed_at)
        VALUES {", ".join(f"($1, $2, $3, {row}, {now})" for row in rows)}
        ON CONFLICT (subject, saga, attempt, step) DO UPDATE SET state = excluded.state, tries = excluded.tries,
            sent = excluded.sent, result = excluded.result, note = excluded.note, changed_at = excluded.changed_at"""


def _in_order(rows: Mapping[str, Row], names: Sequence[str]) -> tuple[StepRun, ...]:
    """Returns the steps in the order of `names`; a step that is not recorded is WAITING."""
    if strangers := rows.keys() - set(names):
        raise LookupError(f"recorded steps that the saga no longer has: {sorted(strangers)}")
    known = {
        name: StepRun(StepState(row["state"]), row["tries"], row["sent"], row["result"], row["note"])
        for name, row in rows.items()
    }
    return tuple(known.get(name, StepRun()) for name in names)


def _key(ref: SagaRef) -> tuple[str, str, int]:
    return ref.subject, ref.name, ref.attempt


def _ref(row: Row) -> SagaRef:
    return SagaRef(row["saga"], row["subject"], row["attempt"])


def _refusal(row: Row) -> Refusal | None:
    if not row["refused_step"]:
        return None
    status, sent, final = row["status"], bool(row["sent"]), bool(row["final"])
    return Refusal(row["refused_step"], row["reason"], row["detail"], status or b"", sent, final)
