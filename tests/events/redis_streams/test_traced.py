"""An event's trace, and what other systems have said of it, from the transaction through a Valkey to the consumer."""

import asyncio
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import Int64Value
from soukapi.v1.event_pb2 import Event

from souk.events.brokers.by_url import open_broker
from souk.events.causes import Cause
from souk.events.envelope import event_of
from souk.events.pubsub.subscriber import Subscriber
from souk.events.pubsub.topics import topic_of
from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, current, use
from souk.store.database import Transaction
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.outbox import Outbox
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.recorded_spans import RecordedSpans
from souk.testing.valkey import ValkeyServer, valkey_server

__all__ = ["valkey_server"]

pytestmark = pytest.mark.xdist_group("valkey")

REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
TYPE = Int64Value.DESCRIPTOR.full_name
PATIENCE = 60.0


async def published(tmp_path: Path, spans: RecordedSpans) -> Event:
    """Publishes an event in a transaction of a request; gives it as a relay reads it."""
    database = await SqliteDatabase.open(tmp_path / "shop.db", clock=SystemClock())
    await migrate(database, platform_migrations(), PLATFORM)
    outbox = Outbox("order", SystemClock(), tracer=spans.tracer("order"))

    async def publish(tx: Transaction) -> None:
        await outbox.publish(tx, "ORD-1", Int64Value(value=1))

    with use(CallContext(traceparent=REQUEST, tracestate=STATE)):
        await database.run(publish)
    (row,) = await database.read(lambda tx: tx.fetch("SELECT * FROM souk_outbox"))
    await database.close()
    return event_of(row)


async def test_the_state_of_a_trace_goes_through_the_bus(tmp_path: Path, valkey_server: ValkeyServer) -> None:
    spans, inside, handled = RecordedSpans(), [], asyncio.Event()
    broker, clock = open_broker(valkey_server.url), SystemClock()

    async def handler(event: Event) -> None:
        inside.append(current())
        handled.set()

    async def park(event: Event, cause: Cause, failures: int) -> None:
        raise AssertionError(cause)

    tracer = spans.tracer("notification")
    subscriber = Subscriber(broker, "notification", "mails", [TYPE], handler, park, clock, tracer=tracer)
    await broker.declare(topic_of(TYPE), [subscriber.group])
    consuming = asyncio.create_task(subscriber.run())
    await broker.publish(topic_of(TYPE), [await published(tmp_path, spans)])
    async with asyncio.timeout(PATIENCE):
        await handled.wait()
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    await broker.close()
    created, consumed = spans.ended
    assert [(one.kind.name, one.tracestate) for one in (created, consumed)] == [
        ("PRODUCER", STATE),
        ("CONSUMER", STATE),
    ]
    assert (consumed.trace_id, consumed.parent_id) == (REQUEST[3:35], created.span_id)
    assert [one.tracestate for one in inside] == [STATE]
