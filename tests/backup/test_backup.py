"""A backup of a system at work is one instant of it: restored, every order goes on, and no money is missing."""

import asyncio
import json
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from souk.backing.postgres.roles import PREFIX
from souk.backup import record
from souk.kernel.errors import ConfigurationError
from souk.runtime.config import entry_points
from souk.testing.postgres import TemporaryPostgres
from souk.testing.processes import Ended, begin, run_now
from souk.testing.system import System, embedded, fleet, fleet_process, reachable, until
from tests.crash.test_full_disk import small_disk
from tests.market.books import Books
from tests.market.buyers import Crowd, Wishes
from tests.market.invariants import await_rest, violations
from tests.market.shop import Shop

pytestmark = pytest.mark.xdist_group("backup")

CLIENTS = 6
ORDERS = 12
"""Orders that are answered before, and after, the backup is made."""
PATIENCE = 60.0
SERVICES = [service.name for service in entry_points.app(None).services if service.migrations is not None]
PASSWORD = "pw-4711"
Started = Callable[[Path], AbstractContextManager[System]]


def souk(*words: object, **settings: str) -> Ended:
    return run_now(*map(str, words), settings=settings, patience=300.0)


def refused(*words: object) -> str:
    """Runs a command that must refuse; gives its message, one line after its progress."""
    done = souk(*words)
    assert done.status == 1, done
    assert "Traceback" not in done.err
    return done.err.strip().rpartition("\n")[2]


def backed_up_at_work(started: Started, folder: Path, backup: Path, **settings: str) -> Path:
    """Makes a backup, with these settings, while customers order; returns the data directory of the stopped system."""
    with started(folder) as system:
        shop = Shop(system.mode, system.url, system.data)
        customer = shop.buyer()
        wishes = Wishes([customer], [(shop.product(stock=100_000), 1, 1_200)], "backup", ("card", "wallet"))
        top_up = {"amount": 900_000, "currency": "EUR", "cardToken": "tok_visa", "idempotencyKey": "backup"}
        customer.ok("POST", "/api/v1/wallet:topUp", json=top_up)
        with Crowd(shop.url, wishes, clients=CLIENTS) as crowd:
            until(lambda: len(crowd.answers) >= ORDERS, PATIENCE, "orders are answered")
            done = souk("backup", backup, "--data", system.data, "--json", **settings)
            assert done.status == 0, done.err
            count = len(crowd.answers)
            until(lambda: len(crowd.answers) >= count + ORDERS, PATIENCE, "orders are answered after the backup")
        shop.close()
        system.stop()
        return system.data


def restored_and_sound(started: Started, folder: Path, server: str | None = None) -> None:
    """Starts a restored system, waits until nothing is under way, and checks its data, and the mails about it."""
    with started(folder) as system:
        books = Books(system.data, server=server)
        await_rest(books)
        assert not violations(books)
        assert len(books.orders()) >= ORDERS
        shop = Shop(system.mode, system.url, system.data)
        assert shop.demo.ok("GET", "/api/v1/orders")
        shop.close()


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup that was made of one process at work."""
    folder = tmp_path_factory.mktemp("backup")
    backed_up_at_work(embedded, folder, folder / "made")
    return folder / "made"


def test_a_system_of_one_process_goes_on_from_its_backup(backup: Path, tmp_path: Path) -> None:
    done = souk("restore", backup, "--data", tmp_path / "data", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["files"] == len(record.read(backup).files)
    restored_and_sound(embedded, tmp_path)


def test_a_system_that_is_stopped_is_copied_as_well(backup: Path, tmp_path: Path) -> None:
    done = souk("backup", tmp_path / "made", "--data", backup.parent / "data")
    assert done.status == 0, done.err
    assert record.read(tmp_path / "made").files.keys() >= {"data/order.db", "data/secret"}
    assert souk("restore", tmp_path / "made", "--check").status == 0


def test_it_is_private_and_whole(backup: Path) -> None:
    for path in (backup, *backup.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert {path.name for path in backup.parent.iterdir()} == {"made", "data", "logs"}
    done = souk("restore", backup, "--check")
    assert done.status == 0, done.err
    names = {Path(name).name for name in record.read(backup).files}
    assert {"order.db", "payment.db", "sandbox-bank.db", "secret"} <= names
    assert not {"souk.running", "souk.lock", "order.db-wal"} & names


@pytest.mark.parametrize("harm", ["flip", "remove", "add", "record"])
def test_what_is_not_as_it_was_written_is_refused(backup: Path, tmp_path: Path, harm: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(backup, copy)
    victim = copy / "data" / "inventory.db"
    if harm == "flip":
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
    elif harm == "remove":
        victim.unlink()
    elif harm == "add":
        (copy / "data" / "more").touch()
    else:
        (copy / record.FILE).write_text("{")
    assert "is damaged" in refused("restore", copy, "--data", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_it_is_not_restored_over_something(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").touch()
    assert "is not empty" in refused("restore", backup, "--data", tmp_path / "data")
    assert "already exists" in refused("backup", tmp_path / "data", "--data", backup.parent / "data")
    assert "is not a backup" in refused("restore", tmp_path, "--data", tmp_path / "new")
    assert "no data directory" in refused("backup", tmp_path / "new", "--data", tmp_path / "none")
    assert (
        "leave out --postgres"
        in souk("restore", backup, "--data", tmp_path / "new", SOUK_POSTGRES="postgresql://a@b/c").err
    )


def test_a_newer_version_s_is_refused(backup: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(backup, copy)
    document = json.loads((copy / record.FILE).read_text())
    document["manifest"]["souk"] = "99.0"
    (copy / record.FILE).write_text(json.dumps(document))
    assert "newer than this program" in refused("restore", copy, "--data", tmp_path / "data")


@pytest.mark.parametrize(
    ("place", "value"),
    [("format", "x"), ("files", ["a"]), ("manifest", {}), ("waited", None)],
)
def test_a_record_that_makes_no_sense_is_damaged(backup: Path, tmp_path: Path, place: str, value: object) -> None:
    document = json.loads((backup / record.FILE).read_text())
    (tmp_path / record.FILE).write_text(json.dumps({**document, place: value}))
    with pytest.raises(ConfigurationError, match="is damaged"):
        record.read(tmp_path)


def test_a_full_disk_is_named_and_left_empty(backup: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 200_000) as disk:
        said = refused("backup", disk / "made", "--data", backup.parent / "data")
        assert "made cannot be written: no space" in said or "database or disk is full" in said
        assert not list(disk.iterdir())
        said = refused("restore", backup, "--data", disk / "data")
        assert said == f"souk: the disk that holds {disk}/data is full; free some space or choose another with --data"
        assert {path.name for path in (disk / "data").iterdir()} <= {"souk.lock"}


def test_a_system_does_not_start_on_half_a_restore(backup: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert souk("restore", backup, "--data", data).status == 0
    (data / "souk.restoring").touch()
    assert "was not finished" in refused("up", "--port", "0", "--data", data)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_stopped_it_leaves_nothing(backup: Path, tmp_path: Path, number: signal.Signals) -> None:
    data = tmp_path / "data"
    shutil.copytree(backup.parent / "data", data, ignore=shutil.ignore_patterns("*.sock"))
    with closing(sqlite3.connect(data / "order.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")  # so that the instant is waited for
        process = await begin("backup", str(tmp_path / "made"), "--data", str(data))
        assert process.stderr is not None
        assert b"waiting for an instant" in await process.stderr.readline()
        assert (tmp_path / "made.partial").exists()
        process.send_signal(number)
        _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.full
def test_a_fleet_goes_on_from_its_backup(tmp_path: Path) -> None:
    made = tmp_path / "made"
    backed_up_at_work(fleet_without_mail, tmp_path, made)
    with reachable(tmp_path / "again") as folder:
        done = souk("restore", made, "--data", folder / "data")
        assert done.status == 0, done.err
        restored_and_sound(running_fleet, folder)


@contextmanager
def fleet_without_mail(folder: Path) -> Iterator[System]:
    """A fleet of which one service is down; once it has been stopped, its databases cannot be copied."""
    with fleet(folder, arguments=("--scale", "order=2,payment=2")) as system:
        done = souk("stop", "notification", "--data", system.data)
        assert done.status == 0, done.err
        yield system
        assert "does not run" in refused("backup", folder / "late", "--data", system.data)


@pytest.fixture
def given(postgres_server: TemporaryPostgres) -> Iterator[tuple[TemporaryPostgres, str]]:
    """A server with an empty database for each service, and the template of their URLs."""
    empty_databases(postgres_server)
    yield postgres_server, postgres_server.service_url("{service}", PASSWORD)
    asyncio.run(on_each(postgres_server.drop_service_database))
    asyncio.run(on_each(lambda name: postgres_server.drop_service_database(PREFIX + name)))


async def on_each(work: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    for name in SERVICES:
        await work(name)


def empty_databases(server: TemporaryPostgres) -> None:
    asyncio.run(on_each(server.drop_service_database))
    asyncio.run(on_each(lambda name: server.create_service_database(name, PASSWORD)))


@pytest.mark.full
@pytest.mark.xdist_group("fleet")
def test_databases_on_a_given_server(given: tuple[TemporaryPostgres, str], tmp_path: Path) -> None:
    server, url = given
    made, on_server = tmp_path / "made", {"SOUK_POSTGRES": url, "SOUK_POSTGRES_POOL": "4"}
    backed_up_at_work(lambda folder: embedded(folder, settings=on_server), tmp_path, made, **on_server)
    assert "name one with --postgres" in refused("restore", made, "--data", tmp_path / "new")
    again = souk("restore", made, "--data", tmp_path / "new", **on_server)
    assert "is not empty; restore into a new one" in again.err
    assert not list((tmp_path / "new").glob("[!s]*")), "a failed restore leaves nothing"

    empty_databases(server)
    done = souk("restore", made, "--data", tmp_path / "again" / "data", **on_server)
    assert done.status == 0, done.err
    restored_and_sound(lambda folder: embedded(folder, settings=on_server), tmp_path / "again", url)

    blocked = partial(souk, "restore", made, "--data", tmp_path / "blocked", SOUK_POSTGRES=server.url())
    asyncio.run(server.create_service_database(f"{PREFIX}user", PASSWORD))
    assert f"has a role {PREFIX}user already" in blocked().err
    asyncio.run(server.drop_service_database(f"{PREFIX}user"))
    with reachable(tmp_path / "fleet") as folder:  # and by an administrator, who has none yet
        done = souk("restore", made, "--data", folder / "data", SOUK_POSTGRES=server.url())
        assert done.status == 0, done.err
        by_fleet = partial(running_fleet, arguments=("--postgres", server.url()))
        restored_and_sound(by_fleet, folder, server.url(f"{PREFIX}{{service}}"))


@contextmanager
def running_fleet(folder: Path, arguments: Sequence[str] = ()) -> Iterator[System]:
    """Runs a fleet on a data directory that exists."""
    logs = folder / "logs"
    logs.mkdir()
    up = fleet_process(folder / "data", logs, r"is ready on (?P<url>http://\S+)", *arguments)
    system = System("fleet", folder / "data", [up], {})
    try:
        system.start()
        yield system
    finally:
        system.kill()
