"""What a process says of its database, its disk, and services elsewhere."""

from pathlib import Path

import pytest

from souk.discovery.directory import Directory
from souk.discovery.static import StaticRegistry
from souk.kernel.clock import SystemClock
from souk.kernel.errors import StoreUnavailable
from souk.resilience.breaker.breaker import Breaker
from souk.runtime.calls.breaker_registry import Breakers
from souk.runtime.calls.dependencies import answers, has_room, is_there
from souk.store.database import Work
from souk.store.sqlite.database import SqliteDatabase
from souk.telemetry.health import Health
from souk.testing.clocks import FakeClock

CLOCK = FakeClock()


class Away:
    """A database that is away."""

    async def read(self, work: Work[object], *, single: bool = False) -> object:
        raise StoreUnavailable("the database cannot be reached")


async def test_a_database_answers_or_says_why_it_does_not(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "one.db", clock=SystemClock())
    health = Health(CLOCK)
    health.watch("here", answers(database))
    health.watch("away", answers(Away()))  # type: ignore[arg-type]  # only what is asked of it
    await health.check_all()
    await database.close()
    assert {check.name: check.detail for check in health.checks()} == {
        "here": "",
        "away": "the database cannot be reached",
    }


@pytest.mark.parametrize(("least", "full"), [(1, False), (1 << 62, True)])
async def test_a_disk_has_room_or_is_full(tmp_path: Path, least: int, full: bool) -> None:
    assert (await has_room(tmp_path, least)()).startswith("the disk is full: ") == full


async def test_a_directory_that_is_gone_is_wrong(tmp_path: Path) -> None:
    health = Health(CLOCK)
    health.watch("disk", has_room(tmp_path / "gone"))
    await health.check_all()
    assert "No such file" in health.checks()[0].detail


async def test_a_service_is_there_while_it_has_an_instance_and_its_breaker_lets_calls_through() -> None:
    registry = StaticRegistry({"payment": ("127.0.0.1:9101",)})
    directory, breakers = Directory(registry, SystemClock()), Breakers(CLOCK)
    breaker = breakers.add("order", "payment", Breaker())
    probe = is_there("payment", directory, breakers)
    await directory.known("payment", 10.0)
    assert await probe() == ""
    breaker.force_open(CLOCK.monotonic())
    assert await probe() == "its breaker is open"
    assert await is_there("user", directory, breakers)() == "no instance is known"
    await directory.close()
    await registry.close()
