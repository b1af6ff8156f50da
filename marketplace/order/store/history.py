"""What Order has published, made again from the event log."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

from marketplace.order.domain.order import Order, apply
from marketplace.order.events import event_of
from marketplace.order.messages import published, timestamp
from marketplace.order.store.log_position import LogPosition
from souk.sdk import Database, Event, EventStore, HistoryPage, RecordedEvent

AT_ONCE = 100
"""Orders of one page."""


class OrderHistory:
    """Implements `History`: an aggregate is an order, and the position of a page is a LogPosition.

    An event has the id with which it was published, if it was published since ids follow from the log.
    """

    def __init__(self, database: Database, source: str) -> None:
        self._database = database
        self._source = source
        self._log = EventStore()

    async def count(self) -> int:
        return await self._database.read(self._log.count_streams, long=True)

    async def page(self, after: str) -> HistoryPage | None:
        at = await LogPosition.of(after, self._database, self._log)
        read = partial(self._log.load_next, after=at.order_id, begun_by=at.last_event, streams=AT_ONCE)
        rows = await self._database.read(read)
        if not rows:
            return None
        orders = [list(events) for _, events in groupby(rows, key=lambda row: row.stream)]
        found = [event for events in orders for event in self._of_one(events)]
        return HistoryPage(found, str(replace(at, order_id=rows[-1].stream)), len(orders))

    def _of_one(self, rows: Sequence[RecordedEvent]) -> Iterator[Event]:
        after = Order(rows[0].stream)
        for row in rows:
            before, after = after, apply(after, event_of(row), row.time)
            for event_id, message in published(before, after):
                yield Event(
                    id=event_id,
                    type=message.DESCRIPTOR.full_name,
                    source=self._source,
                    key=after.id,
                    time=timestamp(row.time),
                    payload=message.SerializeToString(),
                )
