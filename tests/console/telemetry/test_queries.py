"""What is asked of the console's data."""

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from souk.console.telemetry.queries import telemetry_reader
from souk.console.telemetry.queries.edges import CALLS, read_edges
from souk.console.telemetry.queries.figures import quantile
from souk.console.telemetry.queries.finding_traces import TraceFilter, find_traces, read_trace
from souk.console.telemetry.queries.metric_series import read_chart
from souk.console.telemetry.queries.runs import list_runs
from souk.console.telemetry.queries.telemetry_reader import TelemetryReader, ask_file
from souk.console.telemetry.store.records import MetricRecord, PointRecord, ScrapeRecord, TelemetryBatch
from souk.console.telemetry.store.telemetry_store import TelemetryStore
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.console import ConsoleSettings
from souk.testing.clocks import FakeClock
from tests.console.telemetry.made import NOW, SECOND, batch, scrape, span, trace


class World:
    def __init__(self, folder: Path) -> None:
        self.file, self.clock = folder / "console.db", FakeClock(now=NOW)
        self.store = TelemetryStore(folder, ConsoleSettings(), self.clock, "gateway-1")

    def ask(self, question: Any) -> Any:
        return ask_file(self.file, question, self.clock)

    def found(self, **wanted: Any) -> list[int]:
        return [int(one.trace_id, 16) for one in self.ask(lambda db: find_traces(db, TraceFilter(**wanted)))]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    spans = [
        span(1, 1, 0, "gateway", "POST /orders", began=0, took=50_000),
        span(1, 2, 1, "order", "PlaceOrder", began=10, attributes='{"souk.saga":"place-order:ORD-1_A:1","n":5}'),
        span(2, 1, 0, "gateway", "GET /orders", began=SECOND, took=2_000_000, error="503"),
        span(3, 1, 0, "inventory", "sweep", began=2 * SECOND, links=f"00-{trace(1)}-{'1' * 16}-01"),
    ]
    await world.store.write(batch(*spans), "first")
    await world.store.write(batch(span(4, 1, 0, "payment", "100% of it", began=3 * SECOND)), "second")
    yield world
    await world.store.close()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [4, 3, 2, 1]),
        ({"limit": 2}, [4, 3]),
        ({"service": "order"}, [1]),
        ({"operation": "orders"}, [2, 1]),
        ({"operation": "100%"}, [4]),
        ({"operation": "%"}, [4]),
        ({"operation": "_"}, []),
        ({"text": "ORD-1_A"}, [1]),
        ({"text": trace(3)}, [3]),
        ({"text": "' OR 1=1 --"}, []),
        ({"attribute": ("souk.saga", "place-order:ORD-1_A:1")}, [1]),
        ({"attribute": ("n", "5")}, [1]),
        ({"attribute": ('"', "5")}, []),
        ({"errors": True}, [2]),
        ({"at_least": 1.0}, [2]),
        ({"at_most": 0.01}, [4, 3]),
        ({"since": NOW + 2 * SECOND}, [4, 3]),
        ({"until": NOW + SECOND}, [2, 1]),
        ({"service": "gateway", "operation": "PlaceOrder"}, []),
    ],
)
def test_traces_are_found_by(world: World, wanted: dict[str, Any], found: list[int]) -> None:
    assert world.found(**wanted) == found


def test_runs_are_told_apart(world: World) -> None:
    second, first = world.ask(list_runs)
    assert (first["traces"], first["failed"], second["traces"]) == (3, 1, 1)
    assert world.found(run=first["name"]) == [3, 2, 1]
    assert world.found(run=second["name"]) == [4]


def test_all_spans_of_a_trace_are_read_by_the_beginning_of_its_id(world: World) -> None:
    one, two = world.ask(lambda db: read_trace(db, trace(1)[:32]))
    assert (one.name, two.name, two.kind, two.attributes["n"]) == ("POST /orders", "PlaceOrder", "server", 5)
    (linked,) = world.ask(lambda db: read_trace(db, trace(3)))
    assert linked.links == (f"00-{trace(1)}-{'1' * 16}-01",)
    assert world.ask(lambda db: read_trace(db, "f" * 32)) == []


def test_the_list_needs_no_walk_through_all_traces(world: World) -> None:
    plan = world.ask(lambda db: [row[3] for row in db.execute(
        "EXPLAIN QUERY PLAN SELECT * FROM traces AS t JOIN runs AS r ON r.id = t.run ORDER BY t.began DESC LIMIT 5"
    )])  # fmt: skip
    assert any("traces_by_time" in line for line in plan), plan


def test_what_has_not_been_gathered_yet_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing has been gathered yet"):
        ask_file(tmp_path / "console.db", list_runs, SystemClock())
    sqlite3.connect(tmp_path / "console.db").close()
    with pytest.raises(ConfigurationError, match="nothing has been gathered yet"):
        ask_file(tmp_path / "console.db", list_runs, SystemClock())


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "console.db").write_bytes(b"no database at all" * 500)
    with pytest.raises(ConfigurationError, match="is damaged"):
        ask_file(tmp_path / "console.db", list_runs, SystemClock())


def forever(db: sqlite3.Connection) -> object:
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
    return db.execute(endless).fetchone()


async def test_a_question_that_takes_too_long_is_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="narrow it"):
        ask_file(world.file, forever, SystemClock(), longest=0.01)
    monkeypatch.setattr(telemetry_reader, "LONGEST", 0.01)
    assert await TelemetryReader(world.file, SystemClock()).ask(list_runs)


async def test_a_question_cannot_write(world: World) -> None:
    with pytest.raises(ConfigurationError, match="readonly"):
        await TelemetryReader(world.file, world.clock).ask(lambda db: db.execute("DELETE FROM spans"))
    assert len(world.found()) == 4


BOUNDS = (0.1, 1.0, float("inf"))


def calls(epoch: str, at: int, counts: tuple[int, ...], outcome: str = "done", **more: str) -> ScrapeRecord:
    labels = json.dumps({"callee": "payment", "caller": "order", "method": "Charge", "outcome": outcome, **more})
    one = scrape(epoch, at, PointRecord(CALLS, labels, float(counts[-1]), 0.0, counts))
    return ScrapeRecord(
        one.epoch, one.process, one.service, one.at, (MetricRecord(CALLS, "histogram", "", BOUNDS),), one.points
    )


async def edges(world: World, *scrapes: ScrapeRecord, since: int = 0, until: int = 60 * SECOND, **more: Any) -> Any:
    for one in sorted(scrapes, key=lambda one: one.at):
        await world.store.write(TelemetryBatch(scrapes=[one]), "first")
    return world.ask(lambda db: read_edges(db, NOW + since, NOW + until, **more))


async def test_an_edge_has_the_calls_of_its_window(world: World) -> None:
    (one,) = await edges(
        world,
        calls("e", -SECOND, (100, 100, 100)),
        calls("e", 30 * SECOND, (130, 160, 160)),
        calls("e", 31 * SECOND, (0, 0, 6), "unknown"),
        calls("e", 90 * SECOND, (900, 900, 900)),
    )
    assert (one.caller, one.callee, one.method) == ("order", "payment", "")
    assert (one.rate, one.failures, one.refusals) == (66 / 60, 6 / 60, 0.0)
    assert one.p50 == pytest.approx(0.1 + 0.9 * (33 - 30) / 30)
    assert one.p99 == 1.0, "beyond the last bound it is that bound"


async def test_what_a_process_had_counted_before_it_was_first_read_is_not_of_the_window(world: World) -> None:
    (one,) = await edges(
        world, calls("e", SECOND, (5_000, 5_000, 5_000)), calls("e", 30 * SECOND, (5_030, 5_030, 5_030))
    )
    assert one.rate == 30 / 60


async def test_a_series_that_came_later_began_at_nothing(world: World) -> None:
    await edges(world, calls("e", SECOND, (1, 1, 1), method="Other"))
    found = await edges(world, calls("e", 30 * SECOND, (6, 6, 6)), by_method=True)
    assert [(one.method, one.rate) for one in found] == [("Charge", 6 / 60)]


async def test_a_process_that_was_started_again_counts_from_nothing(world: World) -> None:
    (one,) = await edges(
        world,
        calls("e", 0, (100, 100, 100)),
        calls("e", 20 * SECOND, (110, 110, 110)),
        calls("f", 30 * SECOND, (2, 2, 2)),
        calls("f", 40 * SECOND, (5, 5, 5)),
    )
    assert one.rate == (10 + 3) / 60


def test_a_quantile_is_estimated_as_prometheus_does() -> None:
    assert quantile(0.5, (1.0, 2.0), (10, 20, 20)) == 1.0
    assert quantile(0.75, (1.0, 2.0), (10, 20, 20)) == 1.5
    assert quantile(0.99, (1.0, 2.0), (0, 0, 5)) == 2.0
    assert quantile(0.5, (1.0,), (0, 0)) is None
    assert quantile(0.5, (1.0,), ()) is None


async def test_a_histogram_goes_over_time(world: World) -> None:
    await edges(
        world, calls("e", 0, (0, 0, 0)), calls("e", 30 * SECOND, (30, 30, 30)), calls("e", 50 * SECOND, (30, 90, 90))
    )
    chart = world.ask(lambda db: read_chart(db, CALLS, NOW, NOW + 60 * SECOND, ["callee"], steps=2))
    lines = {one.shows: list(one.values) for one in chart.lines}
    assert lines["per second"] == [1.0, 2.0]
    assert lines["p50"] == [pytest.approx(0.05), pytest.approx(0.55)]
    assert chart.lines[0].labels == {"callee": "payment"}


async def test_a_gauge_keeps_its_value_and_ends_with_its_process(world: World) -> None:
    gauge = MetricRecord("souk_open", "gauge", "Open.")
    for epoch, at, value in (("e", 0, 3.0), ("f", 10, 4.0)):
        one = scrape(epoch, at * SECOND, PointRecord("souk_open", '{"kind":"a"}', value))
        more = ScrapeRecord(one.epoch, one.process, one.service, one.at, (gauge,), one.points)
        await world.store.write(TelemetryBatch(scrapes=[more]), "first")
    await world.store.write(TelemetryBatch(scrapes=[scrape("f", 60 * SECOND)]), "first")
    chart = world.ask(lambda db: read_chart(db, "souk_open", NOW - SECOND, NOW + 59 * SECOND, ["kind"], steps=3))
    assert [list(one.values) for one in chart.lines] == [[7.0, 4.0, 4.0]]


def test_a_metric_that_is_not_there_is_said_with_the_nearest(world: World) -> None:
    with pytest.raises(ConfigurationError, match="there is no metric 'souk_cal_seconds'"):
        world.ask(lambda db: read_chart(db, "souk_cal_seconds", NOW, NOW + SECOND))
