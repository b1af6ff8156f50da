"""The states of breakers over time, from what processes said of them."""

import json
from pathlib import Path

from soukapi.v1 import fleet_pb2

from souk.console.pages.breaker_bands import breaker_history
from souk.console.pages.telemetry.pages import source_of
from souk.console.telemetry.gathering.opening import Telemetry
from souk.console.telemetry.queries.breaker_history import STATES, BreakerKey, read_breaker_history
from souk.console.telemetry.queries.telemetry_reader import ask_file
from souk.console.telemetry.store.records import MetricRecord, PointRecord, ScrapeRecord, TelemetryBatch
from souk.console.telemetry.store.telemetry_store import TelemetryStore
from souk.runtime.config.console import ConsoleSettings
from souk.testing.clocks import FakeClock
from tests.console.telemetry.made import NOW, SECOND, scrape

KEY = BreakerKey("order-1", "order", "payment", "Charge")
ALL = ("closed", "open", "half_open")


def reading(epoch: str, at: int, state: str) -> ScrapeRecord:
    labels = {one: json.dumps({"caller": "order", "callee": "payment/Charge", "state": one}) for one in ALL}
    points = [PointRecord(STATES, labels[one], float(one == state), 0.0, ()) for one in ALL]
    made = scrape(epoch, at * SECOND, *points)
    about = (MetricRecord(STATES, "gauge", "", ()),)
    return ScrapeRecord(made.epoch, made.process, made.service, made.at, about, made.points)


async def written(folder: Path, *readings: ScrapeRecord) -> FakeClock:
    clock = FakeClock(now=NOW)
    store = TelemetryStore(folder, ConsoleSettings(), clock, "gateway-1")
    for one in readings:
        await store.write(TelemetryBatch(scrapes=[one]), "first")
    await store.close()
    return clock


async def test_a_band_has_every_state_and_a_gap_while_the_process_was_away(tmp_path: Path) -> None:
    clock = await written(
        tmp_path,
        reading("a", -100, "closed"),
        reading("a", 10, "open"),
        reading("a", 20, "half_open"),
        reading("a", 25, "closed"),
        reading("a", 30, "closed"),
        reading("b", 100, "closed"),
        reading("b", 150, "open"),
    )
    found = ask_file(
        tmp_path / "console.db", lambda db: read_breaker_history(db, NOW - 60 * SECOND, NOW + 155 * SECOND), clock
    )
    assert list(found) == [KEY]
    assert [(one.state, (one.since - NOW) // SECOND, (one.until - NOW) // SECOND) for one in found[KEY]] == [
        ("closed", -60, 10),
        ("open", 10, 20),
        ("half open", 20, 25),
        ("closed", 25, 30),
        ("closed", 100, 150),
        ("open", 150, 155),
    ]


async def test_the_present_state_fills_a_band_of_which_nothing_older_is_kept(tmp_path: Path) -> None:
    clock = await written(tmp_path, reading("a", -10, "closed"))
    other = fleet_pb2.BreakerStatus(
        process="order-1", caller="order", callee="bank", state=fleet_pb2.BREAKER_STATE_OPEN
    )
    other.since.FromMicroseconds(NOW - 30 * SECOND)
    history = await breaker_history(source_of(Telemetry(tmp_path, clock)), [other], NOW)
    bank = BreakerKey("order-1", "order", "bank", "")
    assert history.failed == ""
    assert [(one.state, one.since) for one in history.spells[bank]] == [("open", NOW - 30 * SECOND)]
    (band,) = history.bands(bank)
    assert (band.tone, band.x + band.width) == ("bad", 1_000.0)
    assert [one.tone for one in history.bands(KEY)] == ["good"]


async def test_a_history_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    source = source_of(Telemetry(tmp_path / "nothing", FakeClock(now=NOW)))
    assert "nothing has been gathered yet" in (await breaker_history(source, [], NOW)).failed
