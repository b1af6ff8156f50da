"""What services ask of engines: from spans and figures, and as edges of the map."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from soukapi.v1 import fleet_pb2

from souk.console.pages.engines import engine_edges
from souk.console.telemetry.queries import engines
from souk.console.telemetry.queries.engines import EngineCalls, EngineUse, read_engines
from souk.console.telemetry.queries.telemetry_reader import ask_file
from souk.console.telemetry.store.records import PointRecord
from souk.console.telemetry.store.telemetry_store import TelemetryStore
from souk.runtime.config.console import ConsoleSettings
from souk.testing.clocks import FakeClock
from tests.console.telemetry.made import NOW, SECOND, batch, scrape, span

BANK, SQL = '{"peer.service":"bank"}', '{"db.system.name":"postgresql","server.address":"10.0.0.1"}'
CALL, KAFKA, CALLED = (
    '{"rpc.system.name":"grpc","server.address":"x"}',
    '{"messaging.system":"kafka"}',
    '{"messaging.system":"souk"}',
)
CLIENT = 2


@pytest.fixture
async def use(tmp_path: Path) -> AsyncIterator[EngineUse]:
    clock = FakeClock(now=NOW)
    store = TelemetryStore(tmp_path, ConsoleSettings(), clock, "gateway-1")
    asked = [
        (1, BANK, 100, ""),
        (2, BANK, 300, "Silent"),
        (3, SQL, 20, ""),
        (4, CALL, 9, ""),
        (5, KAFKA, 8, ""),
        (6, CALLED, 7, ""),
    ]
    spans = [
        span(1, number, began=number, took=took * 1_000, kind=CLIENT, error=error, attributes=attributes)
        for number, attributes, took, error in asked
    ]
    inside = span(1, 9, attributes=BANK)
    figures = [
        PointRecord("souk_store_connections", '{"service":"order","state":"busy"}', 3.0),
        PointRecord("souk_store_connections", '{"service":"order","state":"most"}', 10.0),
        PointRecord("souk_outbox_events", '{"consumer":"a/b","service":"order","state":"pending"}', 4.0),
        PointRecord("souk_outbox_events", '{"consumer":"a/c","service":"order","state":"parked"}', 9.0),
        PointRecord("souk_outbox_lag_seconds", '{"consumer":"a/b","service":"order"}', 75.0),
        PointRecord("souk_broker_events", '{"consumer":"a/b","service":"a","topic":"t"}', 5.0),
    ]
    await store.write(batch(*spans, inside, scrapes=(scrape("e", 0, *figures),)), "run")
    yield ask_file(tmp_path / "console.db", lambda db: read_engines(db, NOW - SECOND, NOW + 9 * SECOND), clock)
    await store.close()


def test_spans_of_clients_say_what_was_asked_of_whom(use: EngineUse) -> None:
    found = {one.engine: one for one in use.calls}
    assert set(found) == {"bank", "postgresql", "messaging/kafka"}, "calls of services are no calls of engines"
    assert found["bank"] == EngineCalls("order", "bank", 0.2, 0.1, 0.3, 0.3)
    assert found["postgresql"].p99 == 0.02


async def test_rates_are_right_when_there_are_more_spans_than_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MOST_SPANS", 30)
    clock = FakeClock(now=NOW)
    store = TelemetryStore(tmp_path, ConsoleSettings(), clock, "gateway-1")
    many = [
        span(second, number, began=second * SECOND, kind=CLIENT, attributes=BANK)
        for second in range(1, 61)
        for number in range(1, 11)
    ]
    await store.write(batch(*many), "run")
    (found,) = ask_file(tmp_path / "console.db", lambda db: read_engines(db, NOW, NOW + 61 * SECOND), clock).calls
    assert found.rate == pytest.approx(10.0)
    await store.close()


def test_figures_say_how_engines_stand(use: EngineUse) -> None:
    assert use.pools == {"order": {"busy": 3.0, "most": 10.0}}
    assert use.waiting == {"order": (4.0, 75.0)}
    assert use.at_broker == {"a": 5.0}


def process(service: str, kind: str, *checks: tuple[str, str]) -> fleet_pb2.FleetProcess:
    found = fleet_pb2.FleetProcess(service=service, instance=service, kind=kind, state="ready")  # type: ignore[arg-type]
    for name, detail in checks:
        found.status.checks.add(name=name, well=not detail, detail=detail)
    return found


def test_a_service_has_an_edge_to_each_engine_that_it_uses(use: EngineUse) -> None:
    processes = [
        process("order", "PROCESS_KIND_SERVICE", ("order's database", ""), ("broker", "it is away"), ("disk", "")),
        process("postgres", "PROCESS_KIND_ENGINE"),
    ]
    found = {(one["caller"], one["callee"]): one for one in engine_edges(processes, use)}
    assert set(found) == {("order", "bank"), ("order", "postgres"), ("order", "kafka"), ("kafka", "a")}
    assert found["order", "bank"]["tone"] == "bad", "half of it fails"
    assert found["order", "postgres"]["notes"] == ["3 of 10 connections busy"]
    assert (found["order", "postgres"]["tone"], found["order", "postgres"]["p50"]) == ("good", 0.02)
    assert found["order", "kafka"]["notes"] == ["it is away", "4 events wait in its outbox, the oldest for 75 s"]
    assert found["order", "kafka"]["tone"] == "bad"
    assert found["kafka", "a"]["notes"] == ["5 events are still to be handled"]


def test_where_nothing_waits_that_is_said(use: EngineUse) -> None:
    idle = replace(use, waiting={"order": (0.0, 0.0)}, at_broker={"a": 0.0})
    found = {(one["caller"], one["callee"]): one for one in engine_edges([], idle)}
    assert found["order", "kafka"]["notes"] == ["its outbox is empty"]
    assert found["kafka", "a"]["notes"] == ["every event is handled"]


def test_a_system_of_one_process_uses_files(use: EngineUse) -> None:
    processes = [process("shop", "PROCESS_KIND_SYSTEM", ("user's database", ""))]
    (edge,) = engine_edges(processes, EngineUse())
    assert (edge["caller"], edge["callee"], edge["rate"], edge["notes"]) == ("user", "sqlite", 0.0, [])
