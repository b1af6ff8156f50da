"""The read model as a projection of the event log: made anew by `souk rebuild order.read-model`, and compared by it."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby

from marketplace.order.domain.order import Order, fold
from marketplace.order.events import event_of
from marketplace.order.messages import differences
from marketplace.order.store.read_model import OrderReadModel
from souk.sdk import Batch, Comparison, Database, EventStore, RebuildRun, RecordedEvent, Transaction

AT_ONCE = 100
"""Orders of one batch: few, so that no other transaction waits for long."""


class ReadModelProjection:
    """Implements `Projection`. The position of a batch is the id of its last order."""

    def __init__(self, database: Database, read_model: OrderReadModel) -> None:
        self._database = database
        self._read_model = read_model
        self._log = EventStore()

    async def count(self) -> int:
        return await self._database.read(self._log.count_streams, long=True)

    async def open(self, run: RebuildRun) -> None:
        await self._read_model.generations.open(self._database, run)

    async def batch(self, run: RebuildRun, after: str) -> Batch | None:
        events = await self._database.read(partial(self._log.load_next, after=after, streams=AT_ONCE))
        orders = _folded(events)
        if not orders:
            return None
        write = partial(self._read_model.fill, generation=run.generation, orders=orders)
        return Batch(orders[-1].id, len(orders), write, last=len(orders) < AT_ONCE)

    async def switch(self, run: RebuildRun) -> None:
        await self._read_model.generations.switch(self._database, run)

    async def clean(self, run: RebuildRun) -> None:
        async def some(tx: Transaction, after: str) -> str | None:
            await run.hold(tx)
            return await self._read_model.delete_old(tx, after, AT_ONCE)

        last: str | None = ""
        while last is not None:
            last = await self._database.run(partial(some, after=last), guarded=True)

    async def compare(self, after: str) -> Comparison | None:
        return await self._database.read(partial(self._compare, after=after))

    async def _compare(self, tx: Transaction, after: str) -> Comparison:
        orders = _folded(await self._log.load_next(tx, after=after, streams=AT_ONCE))
        # Behind the last order of all, every row is one too many.
        last = orders[-1].id if len(orders) == AT_ONCE else None
        rows = {row["id"]: row for row in await self._read_model.rows(tx, after, last)}
        found = [line for order in orders for line in differences(order, rows.pop(order.id, None))]
        found += [f"{order_id}: has a row, and no events" for order_id in sorted(rows)]
        return Comparison(last or after, len(orders), found, last=last is None)


def _folded(events: Iterable[RecordedEvent]) -> Sequence[Order]:
    streams = groupby(events, key=lambda event: event.stream)
    return [fold(order_id, ((event_of(row), row.time) for row in rows)) for order_id, rows in streams]
