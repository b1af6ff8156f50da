"""What is asked of recorded sagas from outside: by an operator, by metrics, by the clean-up.

No definition of a saga is needed: the records say it all.
"""

from dataclasses import dataclass

from souk.kernel.clock import MICROSECONDS
from souk.saga.definition import SagaRef
from souk.saga.states import STEP, StepEvent, StepState
from souk.store.database import Row, Transaction

_KEY = "subject = $1 AND saga = $2 AND attempt = $3"
UNKNOWN_STEP = "the program does not know this step: start the version that does, until the saga has ended"
_STATES = (StepState.PARKED.value, StepState.UNDO_PARKED.value)


@dataclass(frozen=True, slots=True)
class ParkedStep:
    """A step that waits for an operator, and the reason that it last failed for.

    `since` is in microseconds of the database's clock.
    """

    ref: SagaRef
    step: str
    state: StepState
    tries: int
    note: str
    since: int


async def end_leases(tx: Transaction) -> None:
    """Of whoever worked on this database before: for one who knows that nobody does now."""
    await tx.execute("UPDATE souk_saga_run SET lease_until = 0 WHERE active")


async def parked(tx: Transaction, limit: int) -> list[ParkedStep]:
    """Steps that wait for an operator, the oldest run first; among them those that no running version knows."""
    rows = await tx.fetch(
        """SELECT s.subject, s.saga, s.attempt, s.step, s.state, s.tries, s.note, s.changed_at, r.unknown_step
           FROM souk_saga_run r JOIN souk_saga_step s
             ON s.subject = r.subject AND s.saga = r.saga AND s.attempt = r.attempt
           WHERE NOT r.ended AND (r.parked AND s.state IN ($2, $3) OR s.step = r.unknown_step)
           ORDER BY r.started_at LIMIT $1""",
        *(limit, *_STATES),
    )
    return [
        ParkedStep(_ref(row), row["step"], StepState(row["state"]), row["tries"], _note(row), row["changed_at"])
        for row in rows
    ]


def _note(row: Row) -> str:
    note: str = UNKNOWN_STEP if row["step"] == row["unknown_step"] else row["note"]
    return note


async def counts(tx: Transaction) -> dict[tuple[str, str], int]:
    """How many runs are open, by saga and phase; those that wait for an operator count as `parked`."""
    rows = await tx.fetch(
        """SELECT saga, count(*) AS runs,
                CASE WHEN parked OR unknown_step <> '' THEN 'parked' ELSE phase END AS standing
           FROM souk_saga_run WHERE NOT ended GROUP BY 1, 3"""
    )
    return {(row["saga"], row["standing"]): row["runs"] for row in rows}


async def retry(tx: Transaction, ref: SagaRef) -> bool:
    """Leaves a run's parked steps to be tried again by whichever runner looks next; false when it has none.

    What `SagaRunner.retry_parked` does, but for the driving: the lease is over, and the next epoch
    stops whoever drives other steps of the run.
    """
    key = (ref.subject, ref.name, ref.attempt)
    rows = await tx.fetch(f"SELECT step, state FROM souk_saga_step WHERE {_KEY} AND state IN ($4, $5)", *key, *_STATES)
    if not rows:
        return False
    await tx.execute(
        f"""UPDATE souk_saga_run SET active = TRUE, parked = FALSE, lease_until = 0, epoch = epoch + 1,
                revision = revision + 1, changed_at = {tx.dialect.now} WHERE {_KEY}""",
        *key,
    )
    states = {row["step"]: STEP.next(StepState(row["state"]), StepEvent.RETRY) for row in rows}
    await tx.execute_many(
        f"""UPDATE souk_saga_step SET state = $5, tries = 0, note = '', changed_at = {tx.dialect.now}
            WHERE {_KEY} AND step = $4""",
        [(*key, step, state.value) for step, state in states.items()],
    )
    return True


async def forget(tx: Transaction, older_than: float, limit: int) -> int:
    """Drops what up to `limit` runs carried that ended more than `older_than` seconds ago; returns how many.

    That is the input and the steps' results, which only steps read. The run itself stays, and how it
    ended: its subject and attempt are used once, and an old attempt may still be asked about.
    """
    rows = await tx.fetch(
        f"""SELECT subject, saga, attempt FROM souk_saga_run
            WHERE ended AND NOT forgotten AND changed_at < {tx.dialect.now} - $1
            ORDER BY changed_at LIMIT $2 {tx.dialect.skip_locked}""",
        *(round(older_than * MICROSECONDS), limit),
    )
    keys = [(row["subject"], row["saga"], row["attempt"], b"") for row in rows]
    if keys:
        await tx.execute_many(f"UPDATE souk_saga_run SET input = $4, forgotten = TRUE WHERE {_KEY}", keys)
        await tx.execute_many(f"UPDATE souk_saga_step SET result = $4 WHERE {_KEY}", keys)
    return len(keys)


def _ref(row: Row) -> SagaRef:
    return SagaRef(row["saga"], row["subject"], row["attempt"])
