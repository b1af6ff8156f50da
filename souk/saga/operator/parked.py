"""Parked sagas: which steps wait for an operator, and the retry that an operator asks for.

No definition of a saga is needed, only the records. `souk.saga.machine.retried` decides which state each step gets,
and `SagaStore.record` stores it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from souk.saga import machine
from souk.saga.definition import SagaRef
from souk.saga.run import PARKED
from souk.saga.states import StepState
from souk.saga.store import SagaStore
from souk.store.database import Row, Transaction, Value

UNKNOWN_STEP = (
    "this program does not have the definition that the run began with: start the one that has it, until the run has "
    "ended; `souk saga check` says more"
)
OPERATOR = "operator"
"""The owner of a run from an operator's command until a runner takes it over."""
_STATES: Sequence[Value] = sorted(state.value for state in PARKED)


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


async def parked_steps(tx: Transaction, limit: int) -> list[ParkedStep]:
    """Returns the steps that wait for an operator, the oldest run first; steps of an unknown version are included."""
    rows = await tx.fetch(
        """SELECT s.subject, s.saga, s.attempt, s.step, s.state, s.tries, s.note, s.changed_at, r.unknown_step
           FROM souk_saga_run r JOIN souk_saga_step s
             ON s.subject = r.subject AND s.saga = r.saga AND s.attempt = r.attempt
           WHERE NOT r.ended AND (r.parked AND s.state IN ($2, $3, $4) OR s.step = r.unknown_step)
           ORDER BY r.started_at LIMIT $1""",
        limit,
        *_STATES,
    )
    return [
        ParkedStep(_ref(row), row["step"], StepState(row["state"]), row["tries"], _note(row), row["changed_at"])
        for row in rows
    ]


def _note(row: Row) -> str:
    note: str = UNKNOWN_STEP if row["step"] == row["unknown_step"] else row["note"]
    return note


async def retry_parked(tx: Transaction, ref: SagaRef) -> bool:
    """Lets the next runner try a run's parked steps again. Returns false when the run has none.

    An owner that works on other steps of the run loses its lease. Raises LookupError if there is no such run.
    """
    recorded = await _recorded_steps(tx, ref)
    store = SagaStore(lambda name, version: recorded, OPERATOR, lease=0.0)
    if not (await store.progress(tx, ref)).parked:
        return False
    (held,) = await store.take(tx, [ref])
    await store.record(tx, held, held.revision, held.run, machine.retried(held.run))
    await store.let_go(tx, held)
    return True


async def _recorded_steps(tx: Transaction, ref: SagaRef) -> list[str]:
    """Returns the names of the recorded steps; an operator's retry can change no others."""
    sql = "SELECT step FROM souk_saga_step WHERE subject = $1 AND saga = $2 AND attempt = $3 ORDER BY step"
    return [row["step"] for row in await tx.fetch(sql, ref.subject, ref.name, ref.attempt)]


def _ref(row: Row) -> SagaRef:
    return SagaRef(row["saga"], row["subject"], row["attempt"])
