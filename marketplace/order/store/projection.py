"""The read model as a projection of the event log: made anew by `souk rebuild order.read-model`, and compared by it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

from marketplace.order.domain.order import Order, fold
from marketplace.order.events import event_of
from marketplace.order.messages import differences
from marketplace.order.store.log_position import LogPosition
from marketplace.order.store.read_model import OrderReadModel
from souk.sdk import Comparison, Database, EventStore, RebuildBatch, RebuildRun, Transaction

AT_ONCE = 100
"""Orders of one batch: few, so that no other transaction waits for long."""


class ReadModelProjection:
    """Implements `Projection`. The position of a batch is a LogPosition."""

    def __init__(self, database: Database, read_model: OrderReadModel) -> None:
        self._database = database
        self._read_model = read_model
        self._log = EventStore()

    async def count(self) -> int:
        return await self._database.read(self._log.count_streams, long=True)

    async def open(self, run: RebuildRun) -> None:
        await self._read_model.generations.open(self._database, run)

    async def batch(self, run: RebuildRun, after: str) -> RebuildBatch | None:
        at = await LogPosition.of(after, self._database, self._log)
        orders = await self._database.read(partial(self._next, at=at))
        if not orders:
            return None
        write = partial(self._read_model.fill, generation=run.generation, orders=orders)
        return RebuildBatch(str(replace(at, order_id=orders[-1].id)), len(orders), write)

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
        at = await LogPosition.of(after, self._database, self._log)
        return await self._database.read(partial(self._compare, at=at))

    async def _next(self, tx: Transaction, at: LogPosition) -> Sequence[Order]:
        events = await self._log.load_next(tx, after=at.order_id, begun_by=at.last_event, streams=AT_ONCE)
        streams = groupby(events, key=lambda event: event.stream)
        return [fold(Order(order_id), ((event_of(row), row.time) for row in rows)) for order_id, rows in streams]

    async def _compare(self, tx: Transaction, at: LogPosition) -> Comparison | None:
        orders = await self._next(tx, at)
        if not orders:
            return await self._left_over(tx, at)
        last = orders[-1].id
        rows = {row["id"]: row for row in await self._read_model.rows(tx, at.order_id, last)}
        found = [line for order in orders for line in differences(order, rows.pop(order.id, None))]
        return Comparison(str(replace(at, order_id=last)), len(orders), [*found, *map(_superfluous, sorted(rows))])

    async def _left_over(self, tx: Transaction, at: LogPosition) -> Comparison | None:
        """Looks for rows behind the last order that no order explains."""
        found = await self._read_model.without_events(tx, at.order_id, AT_ONCE)
        if not found:
            return None
        return Comparison(str(replace(at, order_id=found[-1])), 0, [*map(_superfluous, found)])


def _superfluous(order_id: str) -> str:
    return f"{order_id}: has a row, and no events"
