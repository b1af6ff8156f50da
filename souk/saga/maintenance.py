"""Queries and changes of recorded sagas for operators, metrics and the clean-up.

They need no definition of a saga, only the records.
"""

from dataclasses import dataclass

from souk.kernel.clock import MICROSECONDS
from souk.saga import machine
from souk.saga.definition import SagaRef
from souk.saga.states import StepState
from souk.saga.store import SagaStore
from souk.store.database import Row, Transaction

_KEY = "subject = $1 AND saga = $2 AND attempt = $3"
UNKNOWN_STEP = "the program does not know this step: start the version that does, until the saga has ended"
OPERATOR = "operator"
"""The owner of a run from an operator's command until a runner takes it over."""
_STATES = (StepState.PARKED.value, StepState.UNDO_PARKED.value)


@dataclass(frozen=True, slots=True)
class ParkedStep:
    """A step that waits for an operator; `note` is the reason of its last failure.

    `since` is in microseconds since 1970, by the database's clock.
    """

    ref: SagaRef
    step: str
    state: StepState
    tries: int
    note: str
    since: int


async def end_leases(tx: Transaction) -> None:
    """Ends all leases on this database. Only for a process that knows that no other one uses it."""
    await tx.execute("UPDATE souk_saga_run SET lease_until = 0 WHERE active")


async def parked(tx: Transaction, limit: int) -> list[ParkedStep]:
    """Returns the steps that wait for an operator, the oldest run first; steps of an unknown version are included."""
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
    """Counts the open runs by saga and phase; runs that wait for an operator count as `parked`."""
    rows = await tx.fetch(
        """SELECT saga, count(*) AS runs,
                CASE WHEN parked OR unknown_step <> '' THEN 'parked' ELSE phase END AS standing
           FROM souk_saga_run WHERE NOT ended GROUP BY 1, 3"""
    )
    return {(row["saga"], row["standing"]): row["runs"] for row in rows}


async def retry(tx: Transaction, ref: SagaRef) -> bool:
    """Lets the next runner try a run's parked steps again. Returns false when the run has none.

    An owner that works on other steps of the run loses its lease. Raises LookupError if there is no such run.
    """
    store = SagaStore({ref.name: await _recorded_steps(tx, ref)}, OPERATOR, lease=0.0)
    if not (await store.progress(tx, ref)).parked:
        return False
    held = await store.take(tx, ref)
    await store.record(tx, held, held.revision, held.run, machine.retried(held.run))
    await store.let_go(tx, held)
    return True


async def _recorded_steps(tx: Transaction, ref: SagaRef) -> list[str]:
    """Returns the names of the recorded steps; an operator's retry can change no others."""
    sql = f"SELECT step FROM souk_saga_step WHERE {_KEY} ORDER BY step"
    return [row["step"] for row in await tx.fetch(sql, ref.subject, ref.name, ref.attempt)]


async def forget(tx: Transaction, older_than: float, limit: int) -> int:
    """Drops the data of up to `limit` runs that ended more than `older_than` seconds ago; returns how many.

    The data are the input and the steps' results, which only steps read. The run and its outcome stay:
    a subject and attempt may be used only once, and the outcome of an old attempt may still be asked for.
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
