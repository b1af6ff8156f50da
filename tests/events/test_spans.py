"""An event carries its trace from the transaction that created it to each consumer."""

from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import Int64Value
from soukapi.v1.event_pb2 import DeliverRequest, Event

from souk.events.consumer import EventSinkServicer
from souk.events.pubsub.publisher import sending
from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, current, use
from souk.kernel.errors import PoisonedEvent
from souk.store.database import Transaction
from souk.store.inbox import Inbox
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.outbox import Outbox
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.recorded_spans import RecordedSpans

REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BROUGHT = "00-aaaa2f3577b34da6a3ce929d0e0e4736-aaaa67aa0ba902b7-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


async def test_an_event_is_recorded_once_it_is_there_and_carries_its_span(tmp_path: Path) -> None:
    spans = RecordedSpans()
    database = await SqliteDatabase.open(tmp_path / "shop.db", clock=SystemClock())
    await migrate(database, platform_migrations(), PLATFORM)
    outbox = Outbox("order", SystemClock(), tracer=spans.tracer("order"))

    async def publish(tx: Transaction) -> None:
        await outbox.publish(tx, "ORD-1", Int64Value(value=1), event_id="EVT-1")
        assert spans.ended == []

    async def fail(tx: Transaction) -> None:
        await outbox.publish(tx, "ORD-2", Int64Value(value=1), event_id="EVT-2")
        raise RuntimeError("rolled back")

    with use(CallContext(traceparent=REQUEST, tracestate=STATE)):
        await database.run(publish)
        with pytest.raises(RuntimeError):
            await database.run(fail)
    (span,) = spans.ended
    (row,) = await database.read(lambda tx: tx.fetch("SELECT traceparent, tracestate FROM souk_outbox"))
    assert (row["traceparent"], row["tracestate"]) == (span.traceparent, STATE)
    assert span.tracestate == STATE
    assert (span.kind.name, span.name, span.parent_id) == (
        "PRODUCER", "create google.protobuf.Int64Value", REQUEST[36:52]
    )  # fmt: skip
    assert span.attributes["messaging.message.id"] == "EVT-1"
    await database.close()


async def deliver(spans: RecordedSpans, handler, *events: Event) -> None:
    sink = EventSinkServicer({"mails": handler}, tracer=spans.tracer("notification"))
    with use(CallContext(traceparent=BROUGHT)):
        await sink.Deliver(DeliverRequest(consumer="mails", events=events), None)


async def test_a_consumer_works_under_the_event_and_is_linked_to_what_brought_it() -> None:
    spans, inside = RecordedSpans(), []

    async def handler(event: Event) -> None:
        inside.append(current().traceparent)

    await deliver(spans, handler, Event(id="EVT-1", type="shop.Confirmed", traceparent=REQUEST))
    (span,) = spans.ended
    assert (span.kind.name, span.name) == ("CONSUMER", "process shop.Confirmed")
    assert (span.trace_id, span.parent_id, span.links) == (REQUEST[3:35], REQUEST[36:52], (BROUGHT,))
    assert inside == [span.traceparent]
    assert span.attributes["messaging.consumer.group.name"] == "mails"


@pytest.mark.parametrize(
    ("trace", "given", "passed_on"),
    [
        (REQUEST, STATE, STATE),
        (REQUEST, "no list", ""),
        (REQUEST, f"{STATE},long={'x' * 240},longer={'y' * 250}", f"{STATE},long={'x' * 240}"),
        ("00-1", STATE, ""),
    ],
)
async def test_what_other_systems_have_said_of_a_trace_goes_on_if_it_is_well_formed(
    trace: str, given: str, passed_on: str
) -> None:
    spans, inside = RecordedSpans(), []

    async def handler(event: Event) -> None:
        inside.append(current().tracestate)

    await deliver(spans, handler, Event(id="EVT-1", type="shop.Confirmed", traceparent=trace, tracestate=given))
    assert inside == [passed_on]
    assert spans.ended[0].tracestate == passed_on


@pytest.mark.parametrize("hostile", ["", "00-1", "x" * 10_000])
async def test_an_event_with_a_hostile_trace_begins_one(hostile: str) -> None:
    async def handler(event: Event) -> None:
        pass

    spans = RecordedSpans()
    await deliver(spans, handler, Event(id="EVT-1", type="shop.Confirmed", traceparent=hostile))
    assert spans.ended[0].parent_id == ""


async def test_an_event_on_which_its_handler_fails_is_an_error() -> None:
    async def handler(event: Event) -> None:
        raise PoisonedEvent("the text of it may be private")

    spans = RecordedSpans()
    await deliver(spans, handler, Event(id="EVT-1", type="shop.Confirmed", traceparent=REQUEST))
    assert (spans.ended[0].error, spans.ended[0].reason) == ("PoisonedEvent", "failed")
    assert "private" not in str(spans.ended[0].attributes)


def test_a_batch_for_a_broker_is_linked_to_all_its_events_and_under_none() -> None:
    spans = RecordedSpans()
    events = [Event(id=f"EVT-{number}", traceparent=REQUEST) for number in range(200)]
    with use(CallContext(traceparent=BROUGHT)), sending(spans.tracer("order"), "shop.order.v1", events, "kafka"):
        pass
    (span,) = spans.ended
    assert (span.parent_id, span.attributes["messaging.batch.message_count"]) == ("", 200)
    assert list(span.links) == [REQUEST] * 128
    assert span.attributes["messaging.system"] == "kafka"


async def test_a_consumer_says_whether_the_event_came_for_the_first_time(tmp_path: Path) -> None:
    spans, inbox = RecordedSpans(), Inbox()
    database = await SqliteDatabase.open(tmp_path / "shop.db", clock=SystemClock())
    await migrate(database, platform_migrations(), PLATFORM)

    async def handler(event: Event) -> None:
        await database.run(lambda tx: inbox.first_time(tx, "mails", event.id))

    for _ in range(2):
        await deliver(spans, handler, Event(id="EVT-1", type="shop.Confirmed", traceparent=REQUEST))
    assert [one.attributes["souk.inbox.decision"] for one in spans.ended] == ["first", "repeat"]
    await database.run(lambda tx: inbox.first_time(tx, "mails", "EVT-2"))  # under no span
    await database.close()
