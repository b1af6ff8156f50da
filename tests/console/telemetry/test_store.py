"""The console's file: what is kept, what goes, and what happens when the file cannot be used."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.console.telemetry.store import telemetry_store
from souk.console.telemetry.store.records import PointRecord, RingPosition, TelemetryBatch
from souk.console.telemetry.store.state import Condition, read_state
from souk.console.telemetry.store.telemetry_file import open_for_writing
from souk.console.telemetry.store.telemetry_store import TIDY_EVERY, TelemetryStore
from souk.runtime.config.console import ConsoleSettings
from souk.testing.clocks import FakeClock
from tests.console.telemetry.made import NOW, SECOND, batch, lock, rows, scrape, span, trace

HOUR = 3_600 * SECOND


class World:
    def __init__(self, folder: Path, megabytes: int = 16, hours: int = 24) -> None:
        self.folder, self.clock = folder, FakeClock(now=NOW)
        self.settings = ConsoleSettings(megabytes=megabytes, hours=hours)
        self.store = TelemetryStore(folder, self.settings, self.clock, "gateway-1")

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        return rows(self.folder, sql, *values)

    @property
    def traces(self) -> list[int]:
        return [int(str(one), 16) for (one,) in self.rows("SELECT trace_id FROM traces ORDER BY began, trace_id")]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.store.close()


async def test_a_trace_is_the_sum_of_its_spans_in_whatever_order_they_come(world: World) -> None:
    root = span(1, 1, 0, "gateway", "POST /orders", began=0, took=9_000)
    call = span(1, 2, 1, "gateway", "PlaceOrder", began=100, took=8_000, kind=2)
    served = span(1, 3, 2, "order", "PlaceOrder", began=200, took=7_000, error="failed")
    charged = span(1, 4, 3, "payment", "Charge", began=300, took=20_000)
    for one in (charged, served, call, root):
        assert await world.store.write(batch(one), "first")
    await world.store.write(batch(root, charged), "first")  # read twice
    (found,) = world.rows("SELECT service, name, owner, began, ended, spans, errors, bytes FROM traces")
    total = sum(one.bytes for one in (root, call, served, charged))
    assert found == ("gateway", "POST /orders", "order", NOW, NOW + 20_300, 4, 1, total)


async def test_how_far_each_process_was_read_is_kept_with_what_was_lost(world: World) -> None:
    for position, lost in ((10, 0), (30, 5), (31, 1)):
        one = RingPosition("ring", "order-1", position, lost)
        await world.store.write(TelemetryBatch(positions={"ring": one}), "first")
    assert world.rows("SELECT ring, position, lost FROM rings") == [("ring", 31, 6)]
    assert await world.store.positions() == {"ring": 31}


async def test_each_start_of_the_system_is_a_run_with_a_name_that_stays(world: World, tmp_path: Path) -> None:
    for run in ("first", "second", "first"):
        await world.store.write(batch(), run)
    names = world.rows("SELECT name FROM runs ORDER BY id")
    assert len(set(names)) == 2
    await world.store.close()
    again = World(tmp_path)
    await again.store.write(batch(span(1)), "second")
    assert again.rows("SELECT name FROM runs ORDER BY id") == names
    assert again.rows("SELECT name FROM traces JOIN runs ON runs.id = run".replace("name", "runs.name")) == [names[1]]
    await again.store.close()


async def test_what_is_too_old_goes(world: World) -> None:
    await world.store.write(batch(span(1), span(2, began=2 * HOUR)), "first")
    await world.store.write(batch(scrapes=(scrape("e", 0, PointRecord("m", "{}", 1.0)),)), "first")
    world.clock.advance(25 * 3_600)
    await world.store.write(batch(), "first")
    assert world.traces == [2]
    assert world.rows("SELECT count(*) FROM points") == [(0,)]
    assert world.rows("SELECT count(*) FROM spans") == [(1,)]


async def test_a_chatty_service_pushes_out_its_own_traces_only(tmp_path: Path) -> None:
    world, large = World(tmp_path, megabytes=1), '{"a":"' + "x" * 10_000 + '"}'
    quiet = [span(number, service="payment", began=number, attributes=large) for number in range(1, 11)]
    await world.store.write(batch(*quiet), "first")
    for number in range(100, 400, 20):
        chatty = [span(number + one, service="order", began=number + one, attributes=large) for one in range(20)]
        await world.store.write(batch(*chatty), "first")
        world.clock.advance(TIDY_EVERY / SECOND)
    await world.store.write(batch(), "first")
    kept = world.traces
    assert kept[:10] == list(range(1, 11)), "the quiet service has kept all of its own, which are the oldest"
    assert kept[10:] == list(range(400 - len(kept) + 10, 400)), "the chatty one has kept its newest"
    (used,) = world.rows("SELECT sum(bytes) FROM traces")[0]
    assert 0.6 * 0.7 * (1 << 20) < int(str(used)) <= 0.7 * (1 << 20)
    assert (tmp_path / "console.db").stat().st_size < 1.25 * (1 << 20)
    await world.store.close()


async def test_a_trace_that_came_in_at_the_gateway_takes_the_room_of_the_service_behind_it(tmp_path: Path) -> None:
    world, large = World(tmp_path, megabytes=1), '{"a":"' + "x" * 10_000 + '"}'

    def request(number: int, service: str) -> list[object]:
        root = span(number, 1, 0, "gateway", began=number, attributes=large)
        return [root, span(number, 2, 1, service, began=number + 1, attributes=large)]

    for number in range(100, 300):
        await world.store.write(batch(*request(number, "order" if number == 100 else "product")), "first")  # type: ignore[arg-type]
    world.clock.advance(TIDY_EVERY / SECOND)
    await world.store.write(batch(), "first")
    assert world.traces[0] == 100, "the only trace of Order"
    assert world.traces[1] > 200, "and the newest of Product"
    await world.store.close()


async def test_old_figures_are_kept_by_the_minute(world: World) -> None:
    for second in range(0, 180, 20):
        points = (PointRecord("m", "{}", float(second)),)
        await world.store.write(batch(scrapes=(scrape("e", second * SECOND, *points),)), "first")
    world.clock.advance(3_600 + 120)
    await world.store.write(batch(), "first")
    assert world.rows("SELECT value FROM points ORDER BY at") == [(40.0,), (100.0,), (120.0,), (140.0,), (160.0,)]


async def test_labels_without_a_bound_do_not_fill_the_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("souk.console.telemetry.store.writing.MOST_SERIES", 5)
    points = tuple(PointRecord("m", f'{{"user":"{number}"}}', 1.0) for number in range(9))
    await world.store.write(batch(scrapes=(scrape("e", 0, *points),)), "first")
    assert world.rows("SELECT count(*) FROM series") == [(5,)]
    await world.store.write(batch(scrapes=(scrape("e", SECOND, PointRecord("m", '{"user":"1"}', 2.0)),)), "first")
    assert world.rows("SELECT count(*) FROM points WHERE value = 2.0") == [(1,)]


async def test_a_damaged_file_is_set_aside_and_a_new_one_begun(world: World, tmp_path: Path) -> None:
    await world.store.write(batch(span(1)), "first")
    await world.store.close()
    (tmp_path / "console.db").write_bytes(b"this was a database" * 1_000)
    again = World(tmp_path)
    assert await again.store.write(batch(span(2)), "second")
    assert again.traces == [2]
    assert (tmp_path / "console.db.damaged").read_bytes().startswith(b"this was")
    assert again.store.state.condition is Condition.WELL
    assert "was damaged. It was set aside as console.db.damaged" in again.store.state.note
    await again.store.close()
    assert "set aside" in getattr(read_state(tmp_path), "note", "")


async def test_one_that_is_damaged_while_it_is_open_is_noticed(world: World, tmp_path: Path) -> None:
    for number in range(1, 200):
        await world.store.write(batch(span(number, attributes='{"a":"' + "x" * 3_000 + '"}')), "first")
    await world.store.close()
    path = tmp_path / "console.db"
    content = bytearray(path.read_bytes())
    content[4_096:] = b"\xff" * (len(content) - 4_096)  # the first page, with the names of the tables, is sound
    path.write_bytes(content)
    again = World(tmp_path)
    assert await again.store.write(batch(span(500)), "second")
    assert again.traces == [500]
    assert "was damaged" in again.store.state.note
    await again.store.close()


async def test_a_locked_file_is_waited_for(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("souk.console.telemetry.store.telemetry_file.PATIENCE", 0.01)
    await world.store.write(batch(span(1)), "first")
    held = lock(tmp_path)
    assert not await world.store.write(batch(span(2)), "first")
    assert world.store.state.condition is Condition.LOCKED
    assert "lock" in world.store.state.words
    held.close()
    assert await world.store.write(batch(span(2)), "first")
    assert (world.store.state.condition, world.store.state.words) == (Condition.WELL, "")


async def test_a_full_disk_is_said_and_outlasted(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def small(path: Path, megabytes: int) -> object:
        connection = open_for_writing(path, megabytes)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall()
        return connection

    large = '{"a":"' + "x" * 15_000 + '"}'
    monkeypatch.setattr(telemetry_store, "open_for_writing", small)
    many = batch(*(span(number, attributes=large) for number in range(1, 20)))
    assert not await world.store.write(many, "first")
    assert world.store.state.condition is Condition.FULL
    assert "make room" in world.store.state.words
    await world.store.close()
    monkeypatch.undo()
    again = World(tmp_path)
    assert await again.store.write(many, "first")
    assert len(again.traces) == 19
    await again.store.close()


async def test_a_file_of_a_newer_version_is_left_alone(world: World, tmp_path: Path) -> None:
    await world.store.write(batch(span(1)), "first")
    await world.store.close()
    held = lock(tmp_path)
    held.execute("PRAGMA user_version = 99")
    held.execute("COMMIT")
    held.close()
    again = World(tmp_path)
    assert not await again.store.write(batch(span(2)), "second")
    assert "newer version" in again.store.state.words
    assert again.traces == [1]
    await again.store.close()


async def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    world = World(tmp_path / "missing")
    assert not await world.store.write(batch(span(1)), "first")
    assert world.store.state.condition is Condition.AWAY
    (tmp_path / "missing").mkdir()
    assert await world.store.write(batch(span(1)), "first")
    await world.store.close()


async def test_a_disk_that_hangs_holds_up_neither_the_loop_nor_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, begun = threading.Event(), threading.Event()

    def hang(*_: object) -> int:
        begun.set()
        hangs.wait()
        return 0

    monkeypatch.setattr(telemetry_store, "write_batch", hang)
    monkeypatch.setattr(telemetry_store, "LAST_WRITE", 0.01)
    writing = asyncio.create_task(world.store.write(batch(span(1)), "first"))
    while not begun.is_set():
        await asyncio.sleep(0)  # the loop runs meanwhile
    await world.store.close()
    assert not writing.done()
    writing.cancel()
    hangs.set()


async def test_the_trace_of_every_record_is_its_own(world: World) -> None:
    await world.store.write(batch(span(1), span(2)), "first")
    assert world.rows("SELECT trace_id FROM spans ORDER BY trace_id") == [(trace(1),), (trace(2),)]
