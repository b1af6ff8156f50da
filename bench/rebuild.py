"""Measures a rebuild of Order's read model while orders come in, on SQLite and on PostgreSQL.

The orders are appended by the service's own store: placed, reserved, confirmed and committed, as a saga does. Then
writers go on placing orders at a steady rate, and their latency is taken before and during the rebuild. The peer is the
obvious rebuild: everything read, deleted and written in one transaction. At the end every order is compared with its
events.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.events.engines import postgres
from bench.figures import Figure, Section, median, progress
from marketplace.order.domain.order import Order, fold
from marketplace.order.events import (
    Event,
    Item,
    OrderConfirmed,
    OrderPlaced,
    RefundRecorded,
    StockCommitted,
    StockReserved,
    event_of,
)
from marketplace.order.service import service
from marketplace.order.store.orders import OrderStore
from marketplace.order.store.projection import ReadModelProjection
from marketplace.order.store.read_model import READ_MODEL
from souk.kernel.ids import new_id
from souk.projections.rebuild import Rebuild
from souk.runtime.service import ServiceContext
from souk.store.database import Transaction
from souk.store.event_store import EventStore
from souk.testing.service_host import service_host

WRITERS = 8
RATE = 40.0
"""Orders a second that come in while a rebuild runs."""
LIKELY, MANY, AFTER = 6, 200, 24
"""Events of an order that was paid and shipped; of one that was refunded piece by piece more often than any is, up to
its last snapshot; and after that."""
_AT_ONCE = 64


@dataclass(slots=True)
class Writers:
    """Places orders at a steady rate, and keeps how long each took from when it was due, in seconds."""

    store: OrderStore
    context: ServiceContext
    took: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Places orders until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(self._write())

    async def _write(self) -> None:
        pause = WRITERS / RATE
        due = time.monotonic()
        while True:
            await append_order(self.store, self.context)
            self.took.append(time.monotonic() - due)
            due += pause
            await asyncio.sleep(max(0.0, due - time.monotonic()))


async def append_order(store: OrderStore, context: ServiceContext) -> None:
    """Appends an order that was placed and confirmed, each event as its own change of the read model."""
    item = Item("P-101", 2, 1200)
    placed = OrderPlaced("U-1", (item,), 2400, "EUR", "ADDR-1", "card")
    order_id = new_id("ORD", context.clock)

    async def work(tx: Transaction) -> None:
        order = Order(order_id)
        happened: tuple[Event, ...] = (placed, StockReserved(1), OrderConfirmed(f"PAY-{order_id}"), StockCommitted())
        for event in happened:
            order = await store.change(tx, order, [event])

    await context.database.run(work, guarded=True)


def measure(folder: Path, *, orders: int, seconds: float) -> Section:
    """Measures both databases, one after the other."""
    section = Section("rebuild")
    sqlite = folder / "rebuild"
    sqlite.mkdir()
    asyncio.run(_measure(section, "SQLite", sqlite, None, orders, seconds))
    with postgres(folder, ["order"]) as urls:
        asyncio.run(_measure(section, "PostgreSQL", folder, urls["order"], orders, seconds))
    return section


async def _measure(section: Section, name: str, folder: Path, url: str | None, orders: int, seconds: float) -> None:
    async with service_host(service, folder, postgres_url=url) as context:
        store = OrderStore(context.outbox, context.clock)
        progress(f"rebuild: appending {orders} orders on {name}")
        for _ in range(0, orders, _AT_ONCE):
            await asyncio.gather(*(append_order(store, context) for _ in range(_AT_ONCE)))
        projection = ReadModelProjection(context.database, store.read_model)
        rebuild = Rebuild(READ_MODEL, projection, context.database)
        async with _writing(store, context) as quiet:
            await asyncio.sleep(seconds)
        progress(f"rebuild: making them anew on {name}")
        began = time.monotonic()
        async with _writing(store, context) as during:
            done = 0
            async for step in rebuild.run():
                done = step.record.done
        took = time.monotonic() - began
        began, differing = time.monotonic(), 0
        async for _, _, differences in rebuild.check():
            differing += len(differences)
        checked = time.monotonic() - began
        section.add(*await _folding(name, store, context))
        progress(f"rebuild: all in one transaction on {name}")
        async with _writing(store, context) as blocked:
            began = time.monotonic()
            await _at_once(store, context)
            at_once = time.monotonic() - began
        section.add(
            Figure(f"{name}: a rebuild of {done:,} orders", took, "s", "all in one transaction", took / at_once),
            Figure(f"{name}: longest wait of an order meanwhile", *_beside(max(during), max(blocked))),
            Figure(
                f"{name}: p99 of an order meanwhile", _p99(during), "ms", "without a rebuild", _ratio(during, quiet)
            ),
            Figure(f"{name}: a check of all orders", checked, "s", "the rebuild", checked / took),
            Figure(f"{name}: orders that differ then", differing, "", aim="0", reached=not differing),
        )
        section.notes.append(f"{name}: {len(during):,} orders came in during the rebuild, at {RATE:g} a second")


async def _folding(name: str, store: OrderStore, context: ServiceContext) -> list[Figure]:
    """Loads an order again and again: a usual one, and a long one by all its events and from its snapshot on."""
    usual, long = await _refunded(store, context, LIKELY), await _refunded(store, context, MANY, AFTER)
    whole = await _loading(context, partial(store.load_whole, order_id=long))
    loading, events = f"{name}: loading and folding an order of", MANY + AFTER
    return [
        Figure(f"{loading} {LIKELY} events", await _loading(context, partial(store.load, order_id=usual)), "ms"),
        Figure(f"{loading} {events} events", whole, "ms"),
        Figure(
            f"{loading} {events} events from its snapshot on",
            *_part(await _loading(context, partial(store.load, order_id=long)), whole),
        ),
    ]


def _part(took: float, whole: float) -> tuple[float, str, str, float]:
    return took, "ms", "all its events", took / whole


async def _refunded(store: OrderStore, context: ServiceContext, events: int, after: int = 0) -> str:
    """Stores an order of so many events at once, and so many after them."""
    order_id = new_id("ORD", context.clock)
    item = Item("P-101", 1, MANY + AFTER)
    placed = OrderPlaced("U-1", (item,), item.price, "EUR", "ADDR-1", "card")
    refunds = [RefundRecorded("PAY-1", amount) for amount in range(1, events + after - 1)]
    history: tuple[Event, ...] = (placed, OrderConfirmed("PAY-1"), *refunds)
    order = await context.database.run(lambda tx: store.change(tx, Order(order_id), history[:events]))
    await context.database.run(lambda tx: store.change(tx, order, history[events:]))
    return order_id


async def _loading(context: ServiceContext, load: Callable[[Transaction], Awaitable[Order]]) -> float:
    took = []
    for _ in range(200):
        began = time.perf_counter()
        await context.database.read(load)
        took.append(time.perf_counter() - began)
    return median(took) * 1_000


def _beside(longest: float, blocked: float) -> tuple[float, str, str, float]:
    return longest * 1_000, "ms", "all in one transaction", longest / blocked


def _p99(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)] * 1_000


def _ratio(took: list[float], quiet: list[float]) -> float:
    return _p99(took) / _p99(quiet)


@asynccontextmanager
async def _writing(store: OrderStore, context: ServiceContext) -> AsyncIterator[list[float]]:
    writers = Writers(store, context)
    task = asyncio.create_task(writers.run())
    try:
        await asyncio.sleep(0.5)  # so that all of them are at work before anything blocks them
        yield writers.took
    finally:
        # Those under way end first: they are the ones that waited.
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _at_once(store: OrderStore, context: ServiceContext) -> None:
    """The obvious rebuild: one transaction, in which all orders are read, deleted and written."""

    async def work(tx: Transaction) -> None:
        row = await tx.fetch_one("SELECT generation FROM souk_generation WHERE is_live")
        assert row is not None
        await tx.execute("DELETE FROM orders")
        log, orders, after = EventStore(), dict[str, list[tuple[Event, int]]](), 0
        while batch := await log.read_all(tx, after=after):
            for event in batch:
                orders.setdefault(event.stream, []).append((event_of(event), event.time))
            after = batch[-1].position
        folded = [fold(Order(order_id), history) for order_id, history in orders.items()]
        await store.read_model.fill(tx, row["generation"], folded)

    await context.database.run(work, guarded=True)
