"""Shops of the saga tests, on both databases."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from souk.store.postgres.database import PostgresDatabase
from souk.testing.postgres import TemporaryPostgres
from souk.testing.saga_suite import Shop

OpenShop = Callable[..., Awaitable[Shop]]


@pytest.fixture(params=["sqlite", "postgres"])
async def open_shop(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[OpenShop]:
    """Opens shops on one database, with what is given to `Shop.open`; closes them in the end."""
    shops: list[Shop] = []
    server: TemporaryPostgres | None = None
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")

    async def open_shop(**options: Any) -> Shop:
        database = None if server is None else await PostgresDatabase.open(await server.create_migrated())
        shops.append(await Shop.open(tmp_path, database=database, **options))
        return shops[-1]

    yield open_shop
    for shop in shops:
        await shop.close()
