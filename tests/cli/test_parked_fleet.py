"""Commands that open databases find those of a fleet by its data directory, and by nothing else."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from souk.runtime.config import entry_points
from souk.store.postgres.database import PostgresDatabase
from souk.testing.fleet_data import FleetData, fleet_data
from souk.testing.processes import Ended, run
from souk.testing.saga_suite import Shop
from tests.cli.test_parked import RUN, park_an_undo

SERVICES = [service.name for service in entry_points.app(None).services if service.migrations is not None]
COMMANDS = (("parked",), ("events", "parked"))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetData]:
    with fleet_data(tmp_path) as kept:
        kept.start(SERVICES)
        yield kept


async def souk(fleet: FleetData, *arguments: str) -> Ended:
    ended = await run(*arguments, "--data", str(fleet.data))
    assert ended.err.count("\n") <= 1, ended.err
    return ended


async def park(folder: Path, url: str) -> None:
    shop = await Shop.open(folder, database=await PostgresDatabase.open(url))
    await park_an_undo(shop)
    await shop.close()


def test_a_fleets_databases_are_found_while_it_runs(fleet: FleetData, tmp_path: Path) -> None:
    asyncio.run(park(tmp_path, fleet.urls["order"]))
    (step,) = json.loads(asyncio.run(souk(fleet, "parked", "--json")).out)
    assert (step["id"], step["service"]) == (RUN, "order")
    assert asyncio.run(souk(fleet, "parked", "retry", "--all")).out == "1 will be tried again\n"
    assert asyncio.run(souk(fleet, "parked")).out == "nothing is parked\n"
    assert not list(fleet.data.glob("*.db"))
    fleet.stop()
    for command in COMMANDS:
        ended = asyncio.run(souk(fleet, *command))
        assert (ended.status, ended.out) == (1, ""), command
        assert ended.err.startswith(f"souk: the fleet on {fleet.data} does not run"), ended.err


@pytest.mark.parametrize("command", COMMANDS)
async def test_where_nothing_was_kept_nothing_is_said_to_be_well(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = await run(*command, "--data", str(tmp_path))
    assert (ended.status, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert ended.err.startswith(f"souk: no system has kept data in {tmp_path}")
    assert list(tmp_path.iterdir()) == []


async def test_one_database_cannot_be_that_of_all_services(tmp_path: Path) -> None:
    ended = await run("parked", "--data", str(tmp_path), settings={"SOUK_POSTGRES": "postgresql://u:pw@h/postgres"})
    assert ended.status == 1
    assert ended.err.startswith("souk: SOUK_POSTGRES must have {service}")
