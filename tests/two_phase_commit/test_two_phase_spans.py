"""A two-phase commit is one trace: its drive, and each question to a participant."""

from souk.kernel.context import CallContext, use
from souk.saga.store import SagaOutcome
from souk.testing.recorded_spans import RecordedSpans
from tests.two_phase_commit.conftest import Town

REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


async def paid(town: Town, outcome: SagaOutcome) -> RecordedSpans:
    spans = RecordedSpans()
    coordinator = town.coordinator(tracer=spans.tracer("coordinator"))
    with use(CallContext(traceparent=REQUEST, tracestate=STATE)):
        progress = await town.pay(coordinator)
    await town.stopped(coordinator)
    assert progress.outcome is outcome
    assert spans.open == 0
    assert {(one.trace_id, one.tracestate) for one in spans.ended} == {(REQUEST[3:35], STATE)}
    return spans


async def test_each_participant_is_asked_twice_under_the_drive(town: Town) -> None:
    spans = await paid(town, SagaOutcome.COMMITTED)
    drive = next(one for one in spans.ended if one.name == "two-phase commit pay")
    asked = [one for one in spans.ended if one is not drive]
    assert drive.parent_id == REQUEST[36:52]
    assert sorted(one.name for one in asked) == ["commit left", "commit right", "prepare left", "prepare right"]
    assert {one.parent_id for one in asked} == {drive.span_id}
    assert {(one.kind.name, one.error, one.attributes["souk.two_phase_commit.outcome"]) for one in asked} == {
        ("INTERNAL", "", "done")
    }


async def test_what_is_rolled_back_is_worth_keeping(town: Town) -> None:
    town.right.full = True
    spans = await paid(town, SagaOutcome.REJECTED)
    found = {one.name: one for one in spans.ended}
    assert (found["prepare right"].error, found["prepare right"].reason) == ("FULL", "")
    assert (found["roll back left"].error, found["roll back left"].reason) == ("", "compensated")


async def test_the_drive_of_another_process_says_so_in_the_same_trace(town: Town) -> None:
    with use(CallContext(traceparent=REQUEST, tracestate=STATE)):
        await town.dies("pay/decided/after")
    await town.end_leases()
    spans = RecordedSpans()
    coordinator = town.coordinator(owner="two", tracer=spans.tracer("coordinator"))
    await coordinator.sweep()
    await town.stopped(coordinator)
    drive = next(one for one in spans.ended if one.name == "two-phase commit pay")
    assert (drive.trace_id, drive.attributes["souk.two_phase_commit.resumed"]) == (REQUEST[3:35], True)
    assert {one.tracestate for one in spans.ended} == {STATE}
