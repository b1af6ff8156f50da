"""A relay seldom asks for events of consumers that get none of its service's."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from souk.events import store
from souk.events.relay import Relay, RelaySettings
from souk.events.sender import Route
from souk.kernel.clock import SystemClock
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.relaying import QUICK, running

OURS, THEIRS = "source.Happened", "other.Happened"
EAGER = replace(QUICK, delivery=replace(QUICK.delivery, poll=0.001))


class Asked:
    """Counts how often the database is asked what is pending, by consumer."""

    def __init__(self) -> None:
        self.times, self._again = Counter[str](), asyncio.Event()

    def count(self, consumer: str) -> None:
        self.times[consumer] += 1
        self._again.set()

    async def until(self, consumer: str, times: int) -> None:
        async with asyncio.timeout(30):
            while self.times[consumer] < times:
                self._again.clear()
                await self._again.wait()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked, pending = Asked(), store.pending

    async def counting(tx: Any, *, consumer: str, **more: Any) -> Any:
        asked.count(consumer)
        return await pending(tx, consumer=consumer, **more)

    monkeypatch.setattr(store, "pending", counting)
    return asked


@pytest.fixture
async def relay(tmp_path: Path, settings: RelaySettings) -> Any:
    database = await SqliteDatabase.open(tmp_path / "events.db")
    await migrate(database, platform_migrations(), PLATFORM)
    consumers = [(name, Route(name, "all", (kind,))) for name, kind in (("near", OURS), ("far", THEIRS))]
    none: Any = None  # nothing is ever sent
    clock = SystemClock()
    yield Relay(database, consumers, none, "A", clock, source="source", settings=settings, retentions={OURS: 60.0})
    await database.close()


@pytest.mark.parametrize("settings", [EAGER])
async def test_who_gets_none_of_a_services_events_is_seldom_looked_after(relay: Relay, asked: Asked) -> None:
    async with running(relay):
        await asked.until("near/all", 20)
    assert asked.times["far/all"] <= 2, "at the start, and when there are leases"


@pytest.mark.parametrize("settings", [replace(EAGER, rare_poll=0.001)])
async def test_it_is_looked_after_all_the_same(relay: Relay, asked: Asked) -> None:
    async with running(relay):
        await asked.until("far/all", 5)
