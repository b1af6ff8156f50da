"""What is parked on PostgreSQL is seen, and tried again, while the system goes on working."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.runtime.config import entry_points
from souk.saga.definition import SagaRef
from souk.saga.runner import SagaOutcome, SagaRunner
from souk.store.postgres.database import PostgresDatabase
from souk.testing.postgres import TemporaryPostgres
from souk.testing.processes import Ended, run
from souk.testing.relaying import Listener, World, running
from souk.testing.saga_suite import Shop
from tests.cli.test_parked import CLOCK, PATIENCE, RUN, SETTINGS, park_an_event, park_an_undo

PASSWORD = "pw-0815"
SERVICES = [service.name for service in entry_points.app(None).services if service.migrations is not None]


@pytest.fixture
async def server(postgres_server: TemporaryPostgres) -> AsyncIterator[TemporaryPostgres]:
    """A PostgreSQL server with a database and a role for each service."""
    for name in SERVICES:
        await postgres_server.create_service_database(name, PASSWORD)
    yield postgres_server
    for name in SERVICES:
        await postgres_server.drop_service_database(name)


async def parked(server: TemporaryPostgres, *arguments: str) -> Ended:
    return await run("parked", *arguments, settings={"SOUK_POSTGRES": server.service_url("{service}", PASSWORD)})


async def test_it_is_listed_and_tried_again_while_the_system_runs(server: TemporaryPostgres, tmp_path: Path) -> None:
    database = await PostgresDatabase.open(server.service_url("order", PASSWORD))
    shop = await Shop.open(tmp_path, database=database)
    await park_an_undo(shop)
    await park_an_event(shop)
    step, event = json.loads((await parked(server, "--json")).out)
    assert (step["id"], step["service"], step["undo"], step["reason"]) == (RUN, "order", True, "UNAVAILABLE")
    assert (event["id"], event["service"], event["consumer"]) == ("EVT-7", "order", "mail/all")
    runner = SagaRunner(database, [shop.saga()], CLOCK, "next", SETTINGS, service="shop")
    at_work = asyncio.create_task(runner.run())
    world, listener = World(database), Listener()
    await world.services.start("mail", {"all": listener})
    async with running(world.relay(("mail", "all"))):
        assert (await parked(server, "retry", "--all")).out.startswith("2 will be tried again")
        await listener.has(7)
        progress = await runner.wait_ended(SagaRef("place", "O-1", 1), CLOCK.monotonic() + PATIENCE)
    assert (progress.outcome, progress.ended) == (SagaOutcome.REJECTED, True)
    assert (await parked(server)).out == "nothing is parked\n"
    at_work.cancel()
    await asyncio.gather(at_work, return_exceptions=True)
    await world.services.close()
    await shop.close()


async def test_a_database_that_is_not_there_is_said_in_one_line(postgres_server: TemporaryPostgres) -> None:
    ended = await parked(postgres_server)
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "SOUK_POSTGRES" in ended.err
    assert PASSWORD not in ended.err
