"""PgBouncer before the database: in session mode it is used, in the other modes it is refused, with the reason."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from souk.backing.run_as import engine_user
from souk.kernel.errors import ConfigurationError
from souk.runtime.process.launcher import as_user
from souk.store.database import Transaction
from souk.store.postgres.database import PostgresDatabase
from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.postgres import TemporaryPostgres

pytestmark = pytest.mark.engines

Pooler = Callable[..., Awaitable[str]]
_SETTINGS = """
[databases]
* = host={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
server_round_robin = {round_robin}
min_pool_size = {least}
"""


@pytest.fixture
async def pooler(
    postgres_server: TemporaryPostgres,
    postgres_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Pooler]:
    """Starts a PgBouncer; gives the URL of the test's database behind it."""
    program, started = postgres_server.socket_directory.parent / "pgbouncer", []
    shutil.copy(engine_path("pgbouncer"), program)  # PostgreSQL's user may not enter where it lies
    program.chmod(0o755)
    name = postgres_url.removeprefix("postgresql://postgres@/").split("?")[0]

    async def start(mode: str, *, round_robin: int = 0, least: int = 0) -> str:
        port, file = free_port(), postgres_server.socket_directory.parent / f"pgbouncer-{len(started)}.ini"
        server = postgres_server.socket_directory
        file.write_text(_SETTINGS.format(server=server, port=port, mode=mode, round_robin=round_robin, least=least))
        file.chmod(0o644)
        log = tmp_path_factory.mktemp("pgbouncer") / "log"
        with log.open("wb") as out:
            started.append(subprocess.Popen([*as_user(engine_user()), str(program), str(file)], stdout=out, stderr=out))
        await _answers(port)
        return f"postgresql://postgres@127.0.0.1:{port}/{name}"

    yield start
    for process in started:
        process.kill()
        process.wait()


async def _answers(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def test_a_session_each_is_as_good_as_the_server(pooler: Pooler) -> None:
    database = await PostgresDatabase.open(await pooler("session"))
    await database.run(lambda tx: tx.execute("CREATE TABLE item (name TEXT PRIMARY KEY)"))
    woken = asyncio.Event()
    database.listen("channel", woken.set)

    async def work(tx: Transaction) -> str:
        await tx.lock("name")
        await tx.execute("INSERT INTO item VALUES ($1)", "a")
        await tx.notify("channel")
        row = await tx.fetch_one("SELECT current_setting('lock_timeout') AS it")
        assert row is not None
        return str(row["it"])

    assert await database.run(work) == "5s"
    await asyncio.wait_for(woken.wait(), 120)
    await database.close()


@pytest.mark.parametrize("round_robin", [0, 1])
@pytest.mark.parametrize("others", [0, 1, 3])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_session_that_is_shared_is_refused_at_the_start(
    pooler: Pooler, mode: str, others: int, round_robin: int
) -> None:
    """Whichever of its connections the pooler gives next, and however many others there are."""
    url = await pooler(mode, round_robin=round_robin)
    held = [await asyncpg.connect(url) for _ in range(others)]
    await asyncio.gather(*(connection.execute("SELECT pg_sleep(0.2)") for connection in held))
    with pytest.raises(ConfigurationError, match=r"a pooler stands before it.*name the server itself, or a pooler in"):
        await PostgresDatabase.open(url)
    for connection in held:
        connection.terminate()
