"""Which messages runs expect, and the delivery of one. All SQL of messages.

Each name and key is locked by whoever expects or delivers one, so that no run and no message miss each other. A run
that is waiting is taken from whoever looks at it at this moment, by the epoch of its lease: so it is decided by one of
them alone whether the message came in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from souk.saga.definition import SagaRef
from souk.saga.states import Phase, StepState
from souk.saga.waiting.saga_message import LONGEST_NAME, MessageFate, MessageReceipt, SagaMessage
from souk.store.database import Row, Transaction

WAKE = "souk_saga_wake"
"""The database channel that is notified when a run that waits has something to do."""
_EXPECTED = "w.subject = r.subject AND w.saga = r.saga AND w.attempt = r.attempt"
_OPEN_PHASES = (Phase.RUNNING.value, Phase.COMMITTED.value)
_OPEN_STEPS = (None, StepState.AWAITING.value, StepState.WAIT_PARKED.value)


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """A message that came for a run; `received_at` is in microseconds since 1970."""

    ref: SagaRef
    name: str
    key: str
    id: str
    fate: MessageFate
    received_at: int


async def expect(tx: Transaction, ref: SagaRef, step: str, message: str, key: str) -> None:
    """Records that a run will wait for a message, when the run starts; takes the oldest that is kept for it.

    Raises ValueError for a key that no message can have.
    """
    if not 0 < len(key) <= LONGEST_NAME:
        raise ValueError(f"{ref.name!r}, step {step!r}: a key of a message has 1 to {LONGEST_NAME} characters")
    await _lock(tx, message, key)
    row = await tx.fetch_one(
        """UPDATE souk_saga_message SET fate = 'taken', subject = $3, saga = $4, attempt = $5
           WHERE message = $1 AND id = (SELECT id FROM souk_saga_message
               WHERE message = $1 AND key = $2 AND fate = 'kept' ORDER BY received_at, id LIMIT 1)
           RETURNING id""",
        *(message, key, ref.subject, ref.name, ref.attempt),
    )
    await tx.write(
        """INSERT INTO souk_saga_wait (subject, saga, attempt, step, message, key, message_id)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        *(ref.subject, ref.name, ref.attempt, step, message, key, row["id"] if row else ""),
    )


async def deliver(tx: Transaction, message: SagaMessage, traceparent: str) -> MessageReceipt:
    """Records a message, gives it to the run that expects it, and wakes the run if it waits for it."""
    await _lock(tx, message.name, message.key)
    new = await tx.execute(
        f"""INSERT INTO souk_saga_message (message, id, key, body, traceparent, fate, received_at)
            VALUES ($1, $2, $3, $4, $5, 'kept', {tx.dialect.now}) ON CONFLICT (message, id) DO NOTHING""",
        *(message.name, message.id, message.key, message.body, traceparent),
    )
    if not new:
        return await _delivered_before(tx, message)
    expected = await _expected(tx, message)
    if not expected:
        return MessageReceipt(MessageFate.KEPT)
    wanted = next((row for row in expected if _open(row)), None)
    fate = MessageFate.LATE if wanted is None else MessageFate.TAKEN
    ref = ref_of(expected[-1] if wanted is None else wanted)
    await tx.write(
        """UPDATE souk_saga_message SET fate = $3, subject = $4, saga = $5, attempt = $6
           WHERE message = $1 AND id = $2""",
        *(message.name, message.id, fate.value, ref.subject, ref.name, ref.attempt),
    )
    if wanted is None:
        return MessageReceipt(fate, ref)
    await _give(tx, ref, wanted, message.id)
    return MessageReceipt(fate, ref, wanted["step"])


async def messages_of(tx: Transaction, subject: str) -> list[RecordedMessage]:
    """Returns the messages that came for the runs of a subject, in order."""
    rows = await tx.fetch(
        """SELECT subject, saga, attempt, message, key, id, fate, received_at FROM souk_saga_message
           WHERE subject = $1 ORDER BY received_at, message, id""",
        subject,
    )
    return [
        RecordedMessage(
            ref_of(row), row["message"], row["key"], row["id"], MessageFate(row["fate"]), row["received_at"]
        )
        for row in rows
    ]


async def _lock(tx: Transaction, message: str, key: str) -> None:
    await tx.lock(f"souk_saga_message:{message}:{key}")


async def _delivered_before(tx: Transaction, message: SagaMessage) -> MessageReceipt:
    row = await tx.fetch_one(
        "SELECT fate, subject, saga, attempt FROM souk_saga_message WHERE message = $1 AND id = $2",
        *(message.name, message.id),
    )
    assert row is not None, "the insert met this row"
    fate = MessageFate(row["fate"])
    return MessageReceipt(fate, None if fate is MessageFate.KEPT else ref_of(row), repeated=True)


async def _expected(tx: Transaction, message: SagaMessage) -> Sequence[Row]:
    """Locks the runs that expect this message, or did, and returns them with their steps, the oldest first."""
    name_and_key = message.name, message.key
    await tx.fetch(
        f"""SELECT r.subject FROM souk_saga_run r JOIN souk_saga_wait w ON {_EXPECTED}
            WHERE w.message = $1 AND w.key = $2 AND NOT r.ended
            ORDER BY r.subject, r.saga, r.attempt {tx.dialect.for_update}""",
        *name_and_key,
    )
    return await tx.fetch(
        f"""SELECT r.subject, r.saga, r.attempt, r.phase, w.step, w.message_id, s.state,
                CASE WHEN r.paused_at <> 0 THEN r.paused_at ELSE {tx.dialect.now} END >= r.wait_until AS due
            FROM souk_saga_run r JOIN souk_saga_wait w ON {_EXPECTED}
            LEFT JOIN souk_saga_step s
              ON s.subject = w.subject AND s.saga = w.saga AND s.attempt = w.attempt AND s.step = w.step
            WHERE w.message = $1 AND w.key = $2 ORDER BY r.started_at, r.attempt, w.step""",
        *name_and_key,
    )


def _open(row: Row) -> bool:
    """Whether the run still takes a message for this step."""
    if row["message_id"] or row["phase"] not in _OPEN_PHASES or row["state"] not in _OPEN_STEPS:
        return False
    return row["state"] is None or not row["due"]


async def _give(tx: Transaction, ref: SagaRef, wanted: Row, message_id: str) -> None:
    key = ref.subject, ref.name, ref.attempt
    await tx.write(
        "UPDATE souk_saga_wait SET message_id = $5 WHERE subject = $1 AND saga = $2 AND attempt = $3 AND step = $4",
        *(*key, wanted["step"], message_id),
    )
    if wanted["state"] == StepState.AWAITING.value:
        await tx.write(
            f"""UPDATE souk_saga_run SET owner = '', epoch = epoch + 1, lease_until = {tx.dialect.now}
                WHERE subject = $1 AND saga = $2 AND attempt = $3""",
            *key,
        )
        await tx.notify(WAKE)


def ref_of(row: Row) -> SagaRef:
    """Reads the run that a row is about."""
    return SagaRef(row["saga"], row["subject"], row["attempt"])
