"""`souk admin create`: the first admin, made by whoever has the data directory."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from marketplace.user.commands import admin
from marketplace.user.service import service
from marketplace.user.store.accounts import AccountStore
from souk.kernel.errors import ConfigurationError
from souk.runtime.data.directory import held
from souk.testing.fleet_data import fleet_data
from souk.testing.service_host import service_host


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOUK_DATA", raising=False)


def create(data: Path, email: str = "ops@example.com", password: str = "correct horse") -> Result:
    return CliRunner().invoke(admin, ["create", email, "--data", str(data)], input=f"{password}\n")


def last_line(result: Result) -> str:
    """Gives the last line of the output; a warning about another service may precede it."""
    return result.output.strip().splitlines()[-1]


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    result = create(tmp_path / "typo")
    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigurationError)
    assert str(result.exception).startswith(f"there is no directory {tmp_path / 'typo'}; name the system's with --data")
    assert list(tmp_path.iterdir()) == []


def test_an_admin_is_created_once(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    first = create(tmp_path / "data")
    assert first.exit_code == 0, first.output
    assert "ops@example.com is an admin now" in first.output
    second = create(tmp_path / "data", email="OPS@example.com")
    assert second.exit_code == 1
    assert last_line(second) == "Error: another account has this email (EMAIL_TAKEN)"


async def test_the_admin_is_there_for_the_system(tmp_path: Path) -> None:
    result = await asyncio.to_thread(create, tmp_path)
    assert result.exit_code == 0, result.output
    async with service_host(service, tmp_path) as host:
        store = AccountStore(host.outbox)
        account = await host.database.read(lambda tx: store.credentials(tx, "ops@example.com"))
    assert account is not None
    assert account.account.roles == ("admin", "customer")
    assert account.password_hash.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("email", "password", "what"), [("ops", "correct horse", "email"), ("a@b.c", "short", "password")]
)
def test_nonsense_is_refused_in_one_line(tmp_path: Path, email: str, password: str, what: str) -> None:
    result = create(tmp_path, email, password)
    assert result.exit_code == 1
    assert last_line(result).startswith(f"Error: {what}: must be")


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with held(tmp_path / "user"):
        result = create(tmp_path)
    assert isinstance(result.exception, ConfigurationError)
    assert "in use" in str(result.exception)


async def test_the_admin_of_a_fleet_lands_in_its_database(tmp_path: Path) -> None:
    with fleet_data(tmp_path) as fleet:
        await asyncio.to_thread(fleet.start, ["user"])
        result = await asyncio.to_thread(create, fleet.data)
        assert result.exit_code == 0, result.output
        assert not list(fleet.data.glob("*.db"))
        connection = await asyncpg.connect(fleet.urls["user"])
        assert await connection.fetchval("SELECT count(*) FROM users WHERE email = 'ops@example.com'") == 1
        await connection.close()
        fleet.stop()
        refused = await asyncio.to_thread(create, fleet.data, "more@example.com")
    assert isinstance(refused.exception, ConfigurationError)
    assert "does not run" in str(refused.exception)
