"""Two runs of the system side by side: their methods, and how their sagas went."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.console.pages.telemetry.runs import compare_runs
from souk.console.telemetry.queries.edges import CALLS
from souk.console.telemetry.queries.run_figures import REQUESTS, RunFigures, read_run
from souk.console.telemetry.queries.runs import list_runs
from souk.console.telemetry.queries.telemetry_reader import ask_file
from souk.console.telemetry.store.records import MetricRecord, PointRecord, ScrapeRecord, TelemetryBatch
from souk.console.telemetry.store.telemetry_store import TelemetryStore
from souk.runtime.config.console import ConsoleSettings
from souk.testing.clocks import FakeClock
from tests.console.telemetry.made import NOW, SECOND, span

BOUNDS = (0.01, 0.1, 1.0, float("inf"))
FAST, SLOW = (10, 10, 10, 10), (0, 0, 10, 10)


def calls(callee: str, outcome: str, counts: tuple[int, ...]) -> PointRecord:
    labels = {"caller": "gateway", "callee": callee, "method": "Do", "outcome": outcome}
    return PointRecord(CALLS, json.dumps(labels), float(counts[-1]), 1.0, counts)


def scraped(epoch: str, at: int, *points: PointRecord) -> ScrapeRecord:
    kinds = [MetricRecord(name, "histogram", "", BOUNDS) for name in (CALLS, REQUESTS)]
    return ScrapeRecord(epoch, epoch, epoch, NOW + at, kinds, points)


def drive(trace: int, number: int, name: str, order: str) -> object:
    about = {"souk.saga.name": "place", "souk.saga.subject": order, "souk.saga.attempt": 1}
    return span(trace, number, name=name, attributes=json.dumps(about))


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[tuple[RunFigures, RunFigures]]:
    clock = FakeClock(now=NOW)
    store = TelemetryStore(tmp_path, ConsoleSettings(), clock, "gateway-1")
    route = json.dumps({"method": "GET", "route": "/x", "status": "500"})
    own = json.dumps({"method": "GET", "route": "/console", "status": "200"})
    first = [
        scraped("order-1", 0, calls("order", "done", (1, 1, 1, 1))),
        scraped(
            "order-1", SECOND, calls("order", "done", FAST), calls("user", "done", FAST), calls("gone", "done", FAST)
        ),
        scraped(
            "gateway-1", SECOND, PointRecord(REQUESTS, route, 4.0, 1.0, (4, 4, 4, 4)), PointRecord(REQUESTS, own, 4.0)
        ),
    ]
    spans = [
        drive(1, 1, "saga place", "A"),
        drive(1, 2, "saga place", "A"),
        drive(2, 1, "saga place", "B"),
        drive(2, 2, "undo pay", "B"),
    ]
    await store.write(TelemetryBatch(spans=spans, scrapes=first), "first")  # type: ignore[arg-type]
    clock.advance(10)
    await store.write(TelemetryBatch(), "first")
    second = [
        scraped(
            "order-2",
            20 * SECOND,
            calls("order", "done", SLOW),
            calls("user", "done", FAST),
            calls("user", "unknown", FAST),
        )
    ]
    await store.write(TelemetryBatch(scrapes=second), "second")

    def read(name: str) -> RunFigures:
        found = ask_file(tmp_path / "console.db", lambda db: read_run(db, name), clock)
        assert found is not None
        return found

    newest, oldest = ask_file(tmp_path / "console.db", list_runs, clock)
    yield read(str(oldest["name"])), read(str(newest["name"]))
    await store.close()


async def test_a_run_has_all_calls_of_its_processes(runs: tuple[RunFigures, RunFigures]) -> None:
    first, second = runs
    assert (first.methods["order", "Do"].calls, first.methods["order", "Do"].rate) == (10, 1.0)
    assert first.methods["order", "Do"].p99 is not None
    assert first.methods["gateway", "GET /x"].failing == 1.0
    assert ("gateway", "GET /console") not in first.methods
    assert (second.methods["user", "Do"].calls, second.methods["user", "Do"].failing) == (20, 0.5)
    assert ("gone", "Do") not in second.methods


async def test_a_saga_that_undoes_something_has_turned_back(runs: tuple[RunFigures, RunFigures]) -> None:
    first, second = runs
    assert first.sagas == {"place": (1, 1)}
    assert second.sagas == {}


async def test_what_differs_is_named_and_comes_first(runs: tuple[RunFigures, RunFigures]) -> None:
    found = [(one.service, one.difference) for one in compare_runs(*runs)]
    assert found == [("order", "slower"), ("user", "fails more"), ("gateway", "missing"), ("gone", "missing")]
    assert {one.difference for one in compare_runs(runs[1], runs[0])} == {"faster", "fails less", "new"}
    assert {one.difference for one in compare_runs(runs[0], runs[0])} == {""}
