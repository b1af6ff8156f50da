"""A saga is one trace: its steps and undos, also after a crash."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, use
from souk.saga.runner import SagaOutcome, SagaRunner, SagaSettings
from souk.telemetry.tracing.span import Span
from souk.testing.recorded_spans import RecordedSpans
from souk.testing.saga_suite import LOST, REFUSE, Shop

CLOCK = SystemClock()
QUICK = SagaSettings(lease=0.3, claim=0.02, poll=0.02, pause=0.002, longest_pause=0.01)
REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
SAFETY = 60.0


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = await Shop.open(tmp_path)
    yield shop
    await shop.close()


def runner_of(shop: Shop, spans: RecordedSpans, owner: str) -> SagaRunner:
    tracer = spans.tracer("order")
    return SagaRunner(shop.database, [shop.saga()], CLOCK, owner, QUICK, service="order", tracer=tracer)


async def run(shop: Shop, spans: RecordedSpans) -> SagaOutcome:
    runner = runner_of(shop, spans, "A")
    with use(CallContext(traceparent=REQUEST)):
        ref = await shop.start(runner)
    outcome = (await runner.wait_ended(ref, CLOCK.monotonic() + SAFETY)).outcome
    await runner.close(SAFETY)
    assert spans.open == 0
    return outcome


def by_name(spans: RecordedSpans) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    for one in spans.ended:
        found.setdefault(one.name, []).append(one)
    return found


async def test_every_step_is_under_the_run_and_the_run_under_the_request(shop: Shop) -> None:
    spans = RecordedSpans()
    assert await run(shop, spans) is SagaOutcome.COMMITTED
    found = by_name(spans)
    (drive,) = found.pop("saga place")
    assert (drive.trace_id, drive.parent_id, drive.links) == (REQUEST[3:35], REQUEST[36:52], ())
    assert list(found) == ["step reserve", "step charge", "step ship"]
    for (step,) in found.values():
        assert (step.trace_id, step.parent_id, step.error, step.reason) == (drive.trace_id, drive.span_id, "", "")
        assert step.attributes["souk.saga.outcome"] == "done"
    assert shop.stock.contexts[0].traceparent == found["step reserve"][0].traceparent


async def test_what_is_undone_is_worth_keeping(shop: Shop) -> None:
    shop.bank.does.append(REFUSE)
    spans = RecordedSpans()
    assert await run(shop, spans) is SagaOutcome.REJECTED
    found = by_name(spans)
    assert [(one.error, one.reason) for one in found["step charge"]] == [("NO", "")]
    assert [one.reason for one in found["undo reserve"]] == ["compensated"]
    assert found["undo reserve"][0].parent_id == found["saga place"][0].span_id


async def test_a_step_whose_answer_is_lost_is_asked_again_in_another_span(shop: Shop) -> None:
    shop.stock.does.append(LOST)
    spans = RecordedSpans()
    assert await run(shop, spans) is SagaOutcome.COMMITTED
    first, second = by_name(spans)["step reserve"]
    assert (first.attributes["souk.saga.outcome"], first.reason) == ("unknown", "failed")
    assert [one.attributes["souk.resend_count"] for one in (first, second)] == [0, 1]
    assert second.error == ""


async def test_after_a_crash_the_saga_goes_on_in_the_same_trace(shop: Shop) -> None:
    hanging = asyncio.Event()
    shop.bank.does.append(hanging)
    before, after = RecordedSpans(), RecordedSpans()
    first = runner_of(shop, before, "A")
    with use(CallContext(traceparent=REQUEST, tracestate=STATE)):
        ref = await shop.start(first)
    async with asyncio.timeout(SAFETY):
        while not shop.bank.calls:
            await shop.bank.called.wait()
    for task in list(first._tasks.values()):  # as a crash would: its lease is not given back
        task.cancel()
    second = runner_of(shop, after, "B")
    task = asyncio.create_task(second.run())
    progress = await second.wait_ended(ref, CLOCK.monotonic() + SAFETY)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert progress.outcome is SagaOutcome.COMMITTED
    (resumed,) = by_name(after)["saga place"]
    assert resumed.attributes["souk.saga.resumed"] is True
    assert (resumed.trace_id, resumed.parent_id) == (REQUEST[3:35], REQUEST[36:52])
    assert list(by_name(after)) == ["step charge", "step ship", "saga place"]
    assert {(one.trace_id, one.tracestate) for one in (*before.ended, *after.ended)} == {(REQUEST[3:35], STATE)}
    called = [one.tracestate for participant in (shop.stock, shop.bank) for one in participant.contexts]
    assert called == [STATE] * 3  # the bank was asked again by the second


WEBHOOK = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01"


async def test_a_woken_run_is_linked_to_the_trace_of_its_message(tmp_path: Path) -> None:
    shop = await Shop.open(tmp_path, approval=3_600.0)
    spans = RecordedSpans()
    runner = runner_of(shop, spans, "A")
    work = asyncio.create_task(runner.run())
    with use(CallContext(traceparent=REQUEST)):
        ref = await shop.start(runner)
    with use(CallContext(traceparent=WEBHOOK)):
        await shop.deliver(runner)
    assert (await runner.wait_ended(ref, CLOCK.monotonic() + SAFETY)).outcome is SagaOutcome.COMMITTED
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await shop.close()
    first, by_message, by_time = by_name(spans)["saga place"]
    assert [one.links for one in (first, by_message, by_time)] == [(), (WEBHOOK,), ()]
    woken_by = [one.attributes.get("souk.saga.woken_by") for one in (first, by_message, by_time)]
    assert woken_by == [None, "message", "time"]
    assert {one.trace_id for one in spans.ended} == {REQUEST[3:35]}
    assert "souk.saga.resumed" not in by_message.attributes


async def test_a_later_attempt_is_linked_to_the_one_before_it(shop: Shop) -> None:
    shop.bank.does.append(REFUSE)
    spans = RecordedSpans()
    assert await run(shop, spans) is SagaOutcome.REJECTED
    runner = runner_of(shop, spans, "A")
    with use(CallContext(traceparent=WEBHOOK)):
        ref = await shop.start(runner, attempt=2)
    assert (await runner.wait_ended(ref, CLOCK.monotonic() + SAFETY)).outcome is SagaOutcome.COMMITTED
    await runner.close(SAFETY)
    before, after = by_name(spans)["saga place"]
    assert (before.links, after.links, after.trace_id) == ((), (REQUEST,), WEBHOOK[3:35])
