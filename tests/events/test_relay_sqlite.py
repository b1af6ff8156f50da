"""The events suite on SQLite."""

import pytest

from souk.kernel.clock import SystemClock
from souk.testing.brokered_suite import BrokeredSuite
from souk.testing.event_faults_suite import EventFaultsSuite
from souk.testing.events_suite import EventsSuite
from souk.testing.parked_keys_suite import ParkedKeysSuite
from souk.testing.relays_suite import RelaysSuite
from souk.testing.store.migrated import migrated_sqlite


class TestSqlite(EventsSuite, RelaysSuite, BrokeredSuite, ParkedKeysSuite, EventFaultsSuite):
    @pytest.fixture
    async def database(self, tmp_path):
        database = await migrated_sqlite(tmp_path / "events.db", SystemClock())
        yield database
        await database.close()
