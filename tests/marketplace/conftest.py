"""A database of PostgreSQL for each test of a service has that service's migrations already."""

from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path

import pytest

from souk.testing.postgres import TemporaryPostgres

HERE = Path(__file__).parent


@pytest.fixture
async def postgres_url(request: pytest.FixtureRequest, postgres_server: TemporaryPostgres) -> AsyncIterator[str]:
    """The URL of a database for one test, migrated for the service that the test's folder is named by."""
    name = request.path.relative_to(HERE).parts[0]
    service = import_module(f"marketplace.{name}.service").service
    url = await postgres_server.create_migrated(name, service.migrations)
    yield url
    await postgres_server.drop_database(url)
