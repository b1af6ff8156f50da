"""The events suite on SQLite."""

import pytest

from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.brokered_suite import BrokeredSuite
from souk.testing.event_faults_suite import EventFaultsSuite
from souk.testing.events_suite import EventsSuite
from souk.testing.parked_keys_suite import ParkedKeysSuite
from souk.testing.relays_suite import RelaysSuite


class TestSqlite(EventsSuite, RelaysSuite, BrokeredSuite, ParkedKeysSuite, EventFaultsSuite):
    @pytest.fixture
    async def database(self, tmp_path):
        database = await SqliteDatabase.open(tmp_path / "events.db")
        await migrate(database, platform_migrations(), PLATFORM)
        yield database
        await database.close()
