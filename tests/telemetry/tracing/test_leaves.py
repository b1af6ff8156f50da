"""Leaves of a trace: recorded where it is sampled, and else only if they are worth it."""

import asyncio
from dataclasses import dataclass

import pytest

from souk.kernel.context import CallContext, use
from souk.kernel.errors import StoreUnavailable
from souk.telemetry.tracing.leaves import TRANSACTION, WORTH, Leaves, leaf
from souk.testing.clocks import FakeClock
from souk.testing.recorded_spans import RecordedSpans

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = SAMPLED[:-1] + "0"


@dataclass
class Went:
    collisions: int = 0
    together: int = 0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def spans() -> RecordedSpans:
    return RecordedSpans()


@pytest.fixture
def leaves(spans: RecordedSpans, clock: FakeClock) -> Leaves:
    tracer = spans.tracer("order", clock)
    tracer._unsampled = spans
    return Leaves(tracer, "postgresql", "order", "db.test", 5432, (StoreUnavailable,))


def test_in_a_sampled_trace_each_is_recorded_as_long_as_it_took(
    leaves: Leaves, spans: RecordedSpans, clock: FakeClock
) -> None:
    with use(CallContext(traceparent=SAMPLED)), leaf(leaves, TRANSACTION, Went(2, 5)):
        clock.advance(0.5)
    (span,) = spans.ended
    assert (span.kind.name, span.name, span.trace_id, span.parent_id) == (
        "CLIENT", "transaction order", SAMPLED[3:35], SAMPLED[36:52]
    )  # fmt: skip
    assert span.attributes == {
        "db.system.name": "postgresql",
        "db.namespace": "order",
        "db.operation.name": "transaction",
        "server.address": "db.test",
        "server.port": 5432,
        "souk.db.collisions": 2,
        "souk.db.committed_together": 5,
    }
    assert span.ended - span.started == 0.5


def test_a_usual_one_of_a_trace_that_is_not_sampled_is_not(leaves: Leaves, spans: RecordedSpans) -> None:
    with use(CallContext(traceparent=UNSAMPLED)), leaf(leaves, TRANSACTION, Went()):
        pass
    assert spans.ended == []


@pytest.mark.parametrize("why", ["slow", "again", "failed"])
def test_one_that_is_worth_it_is(leaves: Leaves, spans: RecordedSpans, clock: FakeClock, why: str) -> None:
    with pytest.MonkeyPatch.context(), use(CallContext(traceparent=UNSAMPLED)):
        try:
            with leaf(leaves, TRANSACTION, Went(collisions=why == "again")):
                clock.advance(WORTH if why == "slow" else 0.0)
                if why == "failed":
                    raise StoreUnavailable("the database is away")
        except StoreUnavailable:
            pass
    (span,) = spans.ended
    failed = why == "failed"
    assert (span.error, span.reason) == (("StoreUnavailable", "failed") if failed else ("", ""))


def test_what_the_work_refuses_is_no_failure_of_the_database(leaves: Leaves, spans: RecordedSpans) -> None:
    with use(CallContext(traceparent=SAMPLED)), pytest.raises(LookupError), leaf(leaves, TRANSACTION):
        raise LookupError
    with use(CallContext(traceparent=SAMPLED)), pytest.raises(asyncio.CancelledError), leaf(leaves, TRANSACTION):
        raise asyncio.CancelledError
    refused, cancelled = spans.ended
    assert (refused.error, refused.attributes["souk.db.rolled_back"]) == ("", True)
    assert (cancelled.error, cancelled.reason) == ("cancelled", "")


@pytest.mark.parametrize("parent", ["", "00-zz", "x" * 9_000 + "1"])
def test_what_is_in_no_trace_begins_none(leaves: Leaves, spans: RecordedSpans, parent: str) -> None:
    with use(CallContext(traceparent=parent)), leaf(leaves, TRANSACTION):
        pass
    with leaf(None, TRANSACTION):
        pass
    assert spans.ended == []
