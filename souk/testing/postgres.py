"""A real PostgreSQL for tests, found as a fleet finds its own: one server for a session, one database for a test.

PostgreSQL refuses to run as root, so there it runs as the user nobody, in a directory that others can enter but
not list.
"""

import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

import asyncpg
import psutil
import pytest

from souk.backing.postgres.binaries import find_binaries
from souk.backing.postgres.server import initdb
from souk.backing.run_as import engine_user, make_for
from souk.runtime.process.launcher import as_user
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.postgres.database import PostgresDatabase

_START_LIMIT = 120.0
_STOP_LIMIT = 60.0
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # data must survive the server's processes, not the machine
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_prepared_transactions": "20",
}

_WHO_MAY_ENTER = """
local all postgres trust
local all all scram-sha-256
"""


class TemporaryPostgres:
    """A PostgreSQL server with a socket in its own directory, without a port or a password."""

    def __init__(self, binaries: Path, **settings: str) -> None:
        self._binaries = binaries
        self._settings = {**_SETTINGS, **settings}
        self._root = Path(tempfile.mkdtemp(prefix="souk-pg-"))
        self._data = self._root / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._templates: dict[str, str] = {}

    def start(self) -> None:
        """Creates the data directory if it is missing, starts the server, and waits until it answers."""
        if not self._data.exists():
            self._prepare()
        log = (self._root / "log").open("ab")
        with log:
            command = [
                *as_user(engine_user()),
                str(self._binaries / "postgres"),
                "-D",
                str(self._data),
                "-k",
                str(self._data),
            ]
            options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
            self._process = subprocess.Popen([*command, *options], stdout=log, stderr=log, cwd="/")
        self._await_ready()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server by a signal to its process. SIGINT lets it close its files; SIGQUIT acts as a crash."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def demote(self) -> None:
        """Restarts it as a hot standby, like an old primary after a failover."""
        self.stop()
        (self._data / "standby.signal").touch()
        self.start()

    def promote(self) -> None:
        """Restarts it as a primary."""
        self.stop()
        (self._data / "standby.signal").unlink(missing_ok=True)
        self.start()

    @property
    def cpu(self) -> float:
        """Seconds of CPU that its processes have used so far, also those that have ended."""
        if self._process is None:
            return 0.0
        main = psutil.Process(self._process.pid)
        own = main.cpu_times()
        ended = float(own.user + own.system + own.children_user + own.children_system)
        return ended + sum(sum(child.cpu_times()[:2]) for child in main.children())

    @property
    def socket_directory(self) -> Path:
        """The directory of its socket."""
        return self._data

    def remove(self) -> None:
        """Stops the server and deletes its data."""
        self.stop()
        shutil.rmtree(self._root, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """Returns the URL of a database of this server."""
        return f"postgresql://postgres@/{database}?host={self._data}"

    async def create_database(self, template: str = "template1") -> str:
        """Creates an empty database, or a copy of another one that nobody is connected to, and returns its URL."""
        name = f"test_{uuid.uuid4().hex}"
        await self._administer(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.url(name)

    async def create_migrated(self, service: str = "", migrations: Traversable | None = None) -> str:
        """Creates a database with the platform's migrations and those of a service, and returns its URL.

        They are applied once; what is created is a copy.
        """
        if service not in self._templates:
            url = await self.create_database()
            database = await PostgresDatabase.open(url)
            await migrate(database, platform_migrations(), PLATFORM)
            if migrations is not None:
                await migrate(database, migrations, service)
            await database.close()
            self._templates[service] = _name(url)
        return await self.create_database(self._templates[service])

    async def create_service_database(self, name: str, password: str) -> None:
        """Creates a database and a role of the same name; only that role may connect to it."""
        await self._administer(f"""CREATE ROLE "{name}" LOGIN PASSWORD '{password}'""")
        await self._administer(f'CREATE DATABASE "{name}" OWNER "{name}" STRATEGY file_copy')
        await self._administer(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')

    async def drop_service_database(self, name: str) -> None:
        """Drops the database and role of `create_service_database`, even while clients are connected."""
        await self._administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await self._administer(f'DROP ROLE IF EXISTS "{name}"')

    def service_url(self, name: str, password: str) -> str:
        """Returns the URL of a database of `create_service_database`; the name may be a placeholder."""
        return f"postgresql://{name}:{password}@/{name}?host={self._data}"

    async def drop_database(self, url: str) -> None:
        """Drops a database of `create_database`, even while clients are connected."""
        await self._administer(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    async def _administer(self, sql: str) -> None:
        connection = await asyncpg.connect(self.url())
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    def _prepare(self) -> None:
        self._root.chmod(0o711)
        make_for(engine_user(), self._data)
        initdb(self._binaries, self._data, engine_user(), "--auth=trust", "--no-sync")
        (self._data / "pg_hba.conf").write_text(_WHO_MAY_ENTER)

    def _await_ready(self) -> None:
        until = time.monotonic() + _START_LIMIT
        while not self._ready():
            if self._process is None or self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start: {(self._root / 'log').read_text()[-500:]}")
            time.sleep(0.01)

    def _ready(self) -> bool:
        """Tells whether the server is ready: it writes its state into the last line of its pid file."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() in ("ready", "standby")


def _name(url: str) -> str:
    """Gives the name of a database of `create_database`."""
    return url.removeprefix("postgresql://postgres@/").split("?")[0]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[TemporaryPostgres]:
    """Runs one server for the session; skips the test when PostgreSQL is not installed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL is installed")
    server = TemporaryPostgres(binaries)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
async def postgres_url(postgres_server: TemporaryPostgres) -> AsyncIterator[str]:
    """The URL of an empty database for one test."""
    url = await postgres_server.create_database()
    yield url
    await postgres_server.drop_database(url)


@pytest.fixture
async def migrated_url(postgres_server: TemporaryPostgres) -> AsyncIterator[str]:
    """The URL of a database for one test that has the platform's migrations."""
    url = await postgres_server.create_migrated()
    yield url
    await postgres_server.drop_database(url)
