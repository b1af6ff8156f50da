"""Where a command finds the databases of a system that it did not start."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from souk.admin.databases import DatabaseLocator, locate_databases
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import TOPOLOGIES, DataSettings
from souk.runtime.data.layout import DataLayout
from souk.testing.fleet_data import FleetData, fleet_data

SERVICES = ("order", "user")
TEMPLATE = "postgresql://{service}:pw@h/{service}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetData]:
    with fleet_data(tmp_path_factory.mktemp("fleet")) as kept:
        kept.start(SERVICES)
        yield kept


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A fleet's data directory as a stopped supervisor leaves it."""
    layout = DataLayout(tmp_path)
    layout.processes.parent.mkdir()
    layout.processes.write_text("{}")
    layout.credentials.write_text(json.dumps({"souk_order": "o-password"}))
    layout.postgres.mkdir()
    (layout.postgres / "PG_VERSION").write_text("18\n")
    return tmp_path


MONOLITH, FLEET = TOPOLOGIES


def refused(settings: DataSettings, topology: str = MONOLITH) -> str:
    with pytest.raises(ConfigurationError) as raised:
        locate_databases(settings, topology)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_where_no_fleet_was_they_are_files(tmp_path: Path) -> None:
    settings = DataSettings(tmp_path)
    found = locate_databases(settings, MONOLITH)
    assert found == DatabaseLocator(settings)
    assert found.in_files
    assert found.of("order") is settings


async def test_a_fleets_own_are_entered_as_the_service(running: FleetData) -> None:
    found = locate_databases(DataSettings(running.data), MONOLITH)
    assert not found.in_files
    for service in SERVICES:
        url = found.of(service).postgres
        assert url == running.urls[service]
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT current_user || ' in ' || current_database()") == (
            f"souk_{service} in souk_{service}"
        )
        await connection.close()


def test_its_directory_may_be_said_as_it_is_seen_from_here(running: FleetData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(running.data.parent)
    assert locate_databases(DataSettings(Path("data")), MONOLITH).of("order").postgres == running.urls["order"]


def test_a_password_is_never_made_up_here(running: FleetData) -> None:
    before = DataLayout(running.data).credentials.read_text()
    found = locate_databases(DataSettings(running.data), MONOLITH)
    assert not found.has("payment")
    with pytest.raises(ConfigurationError, match="has no database of 'payment'"):
        found.of("payment")
    assert DataLayout(running.data).credentials.read_text() == before


def test_of_a_fleet_that_is_stopped_it_is_said_how_to_start_it(stopped: Path) -> None:
    said = refused(DataSettings(stopped))
    assert said.startswith(f"the fleet on {stopped} does not run")
    assert f"`souk up --topology fleet --data {stopped}`" in said


def test_a_number_that_is_another_process_now_is_no_server(stopped: Path) -> None:
    pid_file = DataLayout(stopped).postgres / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{stopped}\n0\n5432\n{stopped}\n\n0 0\nready\n")
    assert "does not run" in refused(DataSettings(stopped))


def test_a_fleet_that_is_meant_and_never_ran_is_no_files(tmp_path: Path) -> None:
    (tmp_path / "order.db").touch()
    assert "does not run" in refused(DataSettings(tmp_path), FLEET)


def test_files_beside_a_stopped_fleet_are_meant_and_that_is_said(stopped: Path) -> None:
    (stopped / "order.db").touch()
    with capture_logs() as said:
        assert locate_databases(DataSettings(stopped), MONOLITH).in_files
    assert "a fleet that is stopped has data here, too" in said[0]["event"]


def test_of_a_server_that_the_fleet_was_given_only_the_user_knows(stopped: Path) -> None:
    (stopped / "postgres" / "PG_VERSION").unlink()
    assert "SOUK_POSTGRES" in refused(DataSettings(stopped))


def test_an_administrators_url_is_used_with_the_fleets_passwords(stopped: Path) -> None:
    found = locate_databases(DataSettings(stopped, postgres="postgresql://admin:pw@h:1/postgres"), MONOLITH)
    assert found.of("order").postgres == "postgresql://souk_order:o-password@h:1/souk_order"
    assert found.has("order")
    assert not found.has("user")


def test_what_is_said_of_the_databases_wins(running: FleetData, stopped: Path) -> None:
    for data in (running.data, stopped):
        settings = DataSettings(data, postgres=TEMPLATE)
        assert locate_databases(settings, MONOLITH) == DatabaseLocator(settings)
