"""The events suite on PostgreSQL."""

import pytest

from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.postgres.database import PostgresDatabase
from souk.testing.brokered_suite import BrokeredSuite
from souk.testing.event_faults_suite import EventFaultsSuite
from souk.testing.events_suite import EventsSuite
from souk.testing.parked_keys_suite import ParkedKeysSuite
from souk.testing.relays_suite import RelaysSuite


class TestPostgres(EventsSuite, RelaysSuite, BrokeredSuite, ParkedKeysSuite, EventFaultsSuite):
    @pytest.fixture
    async def database(self, migrated_url):
        database = await PostgresDatabase.open(migrated_url)
        await migrate(database, platform_migrations(), PLATFORM)
        yield database
        await database.close()
