"""A run at rest: it waits for a message or for a time, and no runner holds it.

`waiting_since` and `wait_until` of its row are set while it waits, also while that step is parked. Its lease is that of
nobody, and ends when the run is to be looked at: with the time of the wait, or at once when its message is there.
"""

from souk.kernel.clock import MICROSECONDS
from souk.saga.definition import SagaRef, StepCall, Wait
from souk.saga.run import Run
from souk.saga.states import StepState
from souk.saga.waiting.mailbox import WAKE
from souk.store.database import Transaction

_RUN = "subject = $1 AND saga = $2 AND attempt = $3"
_AT_REST = frozenset({StepState.AWAITING, StepState.WAIT_PARKED})


def resting_at(run: Run) -> int | None:
    """Returns the index of the step that waits, or whose end of the wait is parked; None for any other run."""
    return next((index for index, step in enumerate(run.steps) if step.state in _AT_REST), None)


async def enter(tx: Transaction, wait: Wait, call: StepCall, step: str, soon: float) -> None:
    """Puts a run to rest at a step, in the transaction that records that the step waits.

    Runners are woken if it is due within `soon` seconds: they may not look again before that.
    """
    key, now = _key(call.ref), tx.dialect.now
    # A write, so that of this and the delivery of the message, which writes the same row, the later one sees the other.
    had = f"UPDATE souk_saga_wait SET message_id = message_id WHERE {_RUN} AND step = $4 RETURNING message_id"
    row = await tx.fetch_one(had, *key, step) if wait.message else None
    there = row is not None and row["message_id"] != ""
    until = "$4" if wait.at is not None else f"{now} + $4"
    rests = await tx.fetch_one(
        f"""UPDATE souk_saga_run SET owner = '', waiting_since = {now}, wait_until = {until},
                lease_until = {now if there else until} WHERE {_RUN} RETURNING lease_until - {now} AS remaining""",
        *(*key, round(wait.seconds * MICROSECONDS) if wait.at is None else wait.at(call)),
    )
    if rests is not None and rests["remaining"] < soon * MICROSECONDS:
        await tx.notify(WAKE)


def is_left(old: Run, new: Run) -> bool:
    """Whether a run that waited waits no more, or at another step."""
    before = resting_at(old)
    return before is not None and before != resting_at(new)


def leaving(now: str) -> str:
    """Returns the part of a run's UPDATE that ends its rest. Its deadline has waited, too. `now` is SQL."""
    return f", deadline_at = deadline_at + {now} - waiting_since, waiting_since = 0, wait_until = 0"


async def put_back(tx: Transaction, ref: SagaRef, epoch: int) -> None:
    """Lets a run rest on that was looked at too early. Nothing happens if its message came meanwhile."""
    await tx.execute(
        f"UPDATE souk_saga_run SET owner = '', lease_until = wait_until WHERE {_RUN} AND epoch = $4",
        *(*_key(ref), epoch),
    )


def _key(ref: SagaRef) -> tuple[str, str, int]:
    return ref.subject, ref.name, ref.attempt
