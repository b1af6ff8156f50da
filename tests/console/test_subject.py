"""The page of a subject: what stands at a moment, and why it has no spans when it has none."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from soukapi.v1 import records_pb2, sagas_pb2

from souk.console.pages.subject.axis import axis_of, scale_of
from souk.console.pages.subject.entries import entries_of, states_at
from souk.console.pages.subject.time_scale import AxisWindow
from souk.console.pages.subject.traces import subject_traces
from souk.console.pages.telemetry.pages import source_of
from souk.console.pages.telemetry.source import TelemetrySource
from souk.console.telemetry.gathering.opening import Telemetry
from souk.console.telemetry.store.telemetry_store import TelemetryStore
from souk.runtime.config.console import ConsoleSettings
from souk.testing.clocks import FakeClock
from tests.console.telemetry.made import NOW, SECOND, batch, span, trace

SAMPLED, NOT_SAMPLED = f"00-{trace(1)}-{'1' * 16}-01", f"00-{trace(1)}-{'1' * 16}-00"


def run(traceparent: str = SAMPLED, began: int = 0, *changes: tuple[str, int, str]) -> sagas_pb2.SagaRun:
    made = sagas_pb2.SagaRun(id="place:O-1:1", saga="place", subject="O-1", attempt=1, traceparent=traceparent)
    made.started_at.FromMicroseconds(NOW + began)
    step = made.steps.add(name="charge", state="done", tries=2)
    for at, (state, tries, note) in enumerate(changes, 1):
        step.changes.add(state=state, tries=tries, note=note).at.FromMicroseconds(NOW + at * SECOND)
    step.changed_at.FromMicroseconds(NOW + len(changes) * SECOND)
    return made


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[TelemetrySource]:
    clock = FakeClock(now=NOW)
    store = TelemetryStore(tmp_path, ConsoleSettings(), clock, "gateway-1")
    await store.write(
        batch(span(1, 1, 0, "gateway", began=SECOND, took=2 * SECOND), span(1, 2, 1, began=3 * SECOND)), "k"
    )
    yield source_of(Telemetry(tmp_path, clock))
    await store.close()


def test_a_step_stands_as_it_stood_at_the_moment() -> None:
    made = run(SAMPLED, 0, ("trying", 0, ""), ("doubtful", 1, "UNAVAILABLE"), ("done", 2, ""))
    entries = entries_of(records_pb2.ReadRecordsResponse(), [made], sagas_pb2.ListSagaActionsResponse())
    assert [one.what for one in entries] == ["place began", "charge: begins", "charge: doubtful", "charge: done"]
    steps = [[one.what for one in states_at(entries, NOW + at * SECOND) if one.kind == "step"] for at in range(4)]
    assert steps == [[], ["charge: begins"], ["charge: doubtful"], ["charge: done"]]
    assert [one.detail for one in entries[1:3]] == ["place, attempt 1", "place, attempt 1: 1 try: UNAVAILABLE"]


def test_a_step_without_a_history_says_so() -> None:
    entries = entries_of(records_pb2.ReadRecordsResponse(), [run()], sagas_pb2.ListSagaActionsResponse())
    assert entries[-1].detail.endswith("when it came to this was not kept")


async def test_spans_are_over_running_or_still_to_come(source: TelemetrySource) -> None:
    found = await subject_traces(source, [run()])
    assert (found.why, found.missing) == ("", {})
    scale = scale_of([], found, AxisWindow(NOW, NOW + 4 * SECOND), NOW)
    states = [[one.state for one in axis_of([], found, scale, NOW + at * SECOND).bars] for at in (0, 2, 4)]
    assert states == [["later", "later"], ["running", "later"], ["over", "over"]]
    first, second = axis_of([], found, scale, NOW + 2 * SECOND).bars
    assert first.x + first.width == scale.across(NOW + 2 * SECOND), "a span that runs ends where the moment is"
    assert first.y < second.y
    later = scale_of([], found, AxisWindow(NOW + 10 * SECOND, NOW + 11 * SECOND), NOW)
    assert axis_of([], found, later, NOW).bars == []


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (run("", 2 * SECOND), "the run was begun without a trace"),
        (run(SAMPLED.replace(trace(1), trace(9)), 0), "it has left the console's file to make room"),
        (run(SAMPLED.replace(trace(1), trace(9)), 2 * SECOND), "no process has given a span of it so far"),
        (run(NOT_SAMPLED.replace(trace(1), trace(9)), 2 * SECOND), "it was not chosen to be recorded"),
    ],
)
async def test_a_run_without_spans_says_why(source: TelemetrySource, made: sagas_pb2.SagaRun, why: str) -> None:
    found = await subject_traces(source, [made])
    assert found.traces == {}
    assert found.missing[made.id].startswith(why)


async def test_a_subject_without_runs_and_a_file_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    nothing = source_of(Telemetry(tmp_path / "nothing", FakeClock(now=NOW)))
    assert "No saga ran" in (await subject_traces(nothing, [])).why
    assert "nothing has been gathered yet" in (await subject_traces(nothing, [run()])).why
