"""The inbox: an event changes a consumer's state once, however often it is delivered.

Source: Chris Richardson, "Pattern: Idempotent consumer".
"""

from collections import Counter
from collections.abc import Mapping

from souk.store.database import Transaction
from souk.telemetry.tracing.work import note

DECISION = "souk.inbox.decision"
"""The attribute of a consumer's span: whether the event is handled, as it came the first time, or is a repeat."""


class Inbox:
    """Records which events the consumers of one database have handled."""

    def __init__(self) -> None:
        self._repeats = Counter[str]()

    @property
    def repeats(self) -> Mapping[str, int]:
        """How many events came again in this process after they had been handled, by consumer."""
        return self._repeats

    async def first_time(self, tx: Transaction, consumer: str, event_id: str) -> bool:
        """Returns whether `consumer` has not handled this event before; marks it as handled if `tx` commits.

        Concurrent deliveries of one event wait for each other; only one of them gets True.
        """
        sql = f"""
            INSERT INTO souk_inbox (consumer, event_id, handled_at) VALUES ($1, $2, {tx.dialect.now})
            ON CONFLICT (consumer, event_id) DO NOTHING
        """
        first = await tx.execute(sql, consumer, event_id, expect_rows=1) == 1
        note(DECISION, "first" if first else "repeat")
        if first:
            return True
        tx.after_commit(lambda: self._repeats.update([consumer]))
        return False

    async def forget(self, tx: Transaction, older_than: float, limit: int) -> int:
        """Deletes up to `limit` marks older than `older_than` seconds; returns how many.

        An event that is delivered again after that is handled again, so marks must be kept for longer than
        any outbox keeps its events.
        """
        sql = f"""
            DELETE FROM souk_inbox WHERE (consumer, event_id) IN (
                SELECT consumer, event_id FROM souk_inbox WHERE handled_at < {tx.dialect.now} - $1
                ORDER BY handled_at LIMIT $2
            )
        """
        return await tx.execute(sql, round(older_than * 1_000_000), limit)
