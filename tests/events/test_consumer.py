"""How a handler's end becomes an answer."""

import asyncio
import errno

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from soukapi.v1.event_pb2 import DeliverRequest, Event

from souk.descriptors.contract import Reason
from souk.events.consumer import EventSinkServicer, is_away
from souk.events.envelope import unpack
from souk.kernel.context import CallContext, current, use
from souk.kernel.errors import (
    DomainError,
    InvalidArgument,
    LeaseLost,
    Outcome,
    Overloaded,
    PermissionDenied,
    PoisonedEvent,
    StoreCorrupt,
    StoreUnavailable,
    Unauthenticated,
)
from souk.rpc.call import CallFailed
from souk.testing.clocks import FakeClock

EVENTS = [Event(id=f"e{n}", traceparent=f"00-{n}") for n in range(4)]


async def deliver(handler, *, consumer="all", deadline=None, events=EVENTS, **options):
    request = DeliverRequest(consumer=consumer, events=events)
    with use(CallContext(deadline=deadline)):
        response = await EventSinkServicer({"all": handler}, **options).Deliver(request, None)
    return [(result.event_id, result.poison, result.failure) for result in response.results]


async def test_each_event_is_handled_in_the_trace_of_its_cause_with_a_deadline():
    seen = []

    async def handle(event):
        seen.append((event.id, current().traceparent, current().deadline))

    assert await deliver(handle, clock=FakeClock(monotonic=100.0)) == [(f"e{n}", "", "") for n in range(4)]
    assert seen == [(f"e{n}", f"00-{n}", 110.0) for n in range(4)]


async def test_poison_does_not_stop_the_rest():
    async def handle(event):
        if event.id == "e1":
            raise PoisonedEvent("no such order")

    results = await deliver(handle)
    assert results == [("e0", "", ""), ("e1", "no such order", ""), ("e2", "", ""), ("e3", "", "")]


async def test_a_bug_stops_and_says_its_name_without_its_text():
    async def handle(event):
        if event.id == "e1":
            raise KeyError("4242 4242 4242 4242")

    assert await deliver(handle) == [("e0", "", ""), ("e1", "", "KeyError")]


async def test_what_is_away_stops_without_blame():
    async def handle(event):
        if event.id == "e2":
            raise StoreUnavailable("locked")

    assert await deliver(handle) == [("e0", "", ""), ("e1", "", "")]


async def test_keys_are_handled_at_once_and_one_that_stops_holds_up_no_other():
    events = [Event(id=f"{key}{n}", key=key) for n in range(3) for key in "abc"]
    running, most, seen = set(), [], []

    async def handle(event):
        running.add(event.key)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(event.key)
        seen.append(event.id)
        if event.id == "a1":
            raise StoreUnavailable("locked")
        if event.id == "b1":
            raise KeyError("a bug")

    results = await deliver(handle, events=events, at_once=2)
    ended = [("a0", ""), ("b0", ""), ("c0", ""), ("b1", "KeyError"), ("c1", ""), ("c2", "")]
    assert [(name, failure) for name, _, failure in results] == ended
    assert max(most) == 2
    for key in "abc":
        assert [name for name in seen if name[0] == key] == [f"{key}{n}" for n in range(2 if key < "c" else 3)]


async def test_a_handler_that_hangs_is_put_off():
    async def handle(event):
        if event.id == "e1":
            await asyncio.Event().wait()

    assert await deliver(handle, event_timeout=0.01) == [("e0", "", "")]


async def test_stops_while_there_is_time_to_acknowledge():
    clock = FakeClock()

    async def handle(event):
        clock.advance(9.0)

    results = await deliver(handle, clock=clock, deadline=clock.monotonic() + 30.0)
    assert [event_id for event_id, _, _ in results] == ["e0", "e1", "e2"]


async def test_an_unknown_consumer_is_refused():
    with pytest.raises(DomainError) as refused:
        await deliver(None, consumer="nobody")
    assert refused.value.reason == "UNKNOWN_CONSUMER"


def rpc_error(code):
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


def turned_away(reason, code):
    return CallFailed(code, outcome=Outcome.REFUSED, refusal=Reason(reason, code, 403))


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (StoreUnavailable(""), True),
        (StoreCorrupt(""), False),
        (LeaseLost(""), True),
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (Overloaded(), True),
        (OSError(errno.ENOSPC, "no space left on device"), True),
        (OSError(errno.EMFILE, "too many open files"), True),
        (OSError(errno.ENOENT, "no such file"), False),
        (DomainError("BUSY", "", retry_after=1.0), True),
        (DomainError("NO", ""), False),
        (InvalidArgument([]), False),
        (ValueError(), False),
        (rpc_error(grpc.StatusCode.UNAVAILABLE), True),
        (rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED), True),
        (Unauthenticated(), True),
        (PermissionDenied(), True),
        (rpc_error(grpc.StatusCode.UNAUTHENTICATED), True),
        (rpc_error(grpc.StatusCode.PERMISSION_DENIED), True),
        (rpc_error(grpc.StatusCode.UNIMPLEMENTED), True),
        (turned_away("UNAUTHENTICATED", grpc.StatusCode.UNAUTHENTICATED), True),
        (turned_away("FORBIDDEN", grpc.StatusCode.PERMISSION_DENIED), True),
        (turned_away("ACCOUNT_CLOSED", grpc.StatusCode.PERMISSION_DENIED), False),
        (rpc_error(grpc.StatusCode.NOT_FOUND), False),
        (rpc_error(grpc.StatusCode.UNKNOWN), False),
    ],
)
def test_which_errors_speak_of_the_world_and_not_of_the_event(error, away):
    assert is_away(error) is away


def test_unpack_poisons_what_is_not_the_payload():
    event = Event(type=Int64Value.DESCRIPTOR.full_name, payload=Int64Value(value=7).SerializeToString())
    assert unpack(event, Int64Value).value == 7
    with pytest.raises(PoisonedEvent):
        unpack(event, StringValue)
    event.payload = b"\xff"
    with pytest.raises(PoisonedEvent):
        unpack(event, Int64Value)
