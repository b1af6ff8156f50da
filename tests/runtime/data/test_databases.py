"""A database as a process finds it that starts on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from souk.faults import INERT
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import DataSettings
from souk.runtime.data.databases import open_database
from souk.store.database import Row, Transaction

FAR = 9_000_000_000_000_000
"""A lease that was given when the clock stood elsewhere, or that is simply not over yet."""


async def leave(tx: Transaction) -> None:
    """What a process leaves that was killed while it drove a saga and delivered events."""
    await tx.execute(
        """INSERT INTO souk_saga_run (subject, saga, attempt, phase, active, parked, ended, input, on_behalf_of,
               traceparent, owner, epoch, lease_until, deadline_at, started_at, changed_at)
           VALUES ('ORD-1', 'place', 1, 'running', TRUE, FALSE, FALSE, $1, '', '', 'gone', 7, $2, $2, 1, 1)""",
        *(b"", FAR),
    )
    await tx.execute("INSERT INTO souk_outbox_lease (partition, owner, epoch, until) VALUES (1, 'gone', 7, $1)", FAR)
    await tx.execute("INSERT INTO souk_outbox_relay (owner, until) VALUES ('gone', $1)", FAR)


async def standing(tx: Transaction) -> tuple[Row | None, Row | None, list[Row]]:
    run = await tx.fetch_one("SELECT lease_until, epoch, deadline_at FROM souk_saga_run")
    lease = await tx.fetch_one("SELECT until, epoch FROM souk_outbox_lease")
    return run, lease, await tx.fetch("SELECT owner FROM souk_outbox_relay")


def shop_in(folder: Path) -> Any:
    (folder / "migrations").mkdir()
    (folder / "migrations" / "0001_shop.sql").write_text("CREATE TABLE shop (id TEXT);")
    return SimpleNamespace(name="shop", migrations=folder / "migrations")


@asynccontextmanager
async def refusing(state: str, text: str) -> AsyncIterator[str]:
    """Answers each attempt to connect with an error, as a PostgreSQL server does; gives host:port."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
        fields = b"".join(f"{kind}{value}\0".encode() for kind, value in (("S", "FATAL"), ("C", state), ("M", text)))
        writer.write(b"E" + (len(fields) + 5).to_bytes(4) + fields + b"\0")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with listener:
        yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("state", ["XX000", "XX001", "42P01", "22023"])
async def test_what_a_server_says_is_told_and_not_called_a_fault_of_the_url(state: str, tmp_path: Path) -> None:
    async with refusing(state, "the tablespace is gone") as server:
        settings = DataSettings(tmp_path, postgres=f"postgresql://u:secret@{server}/shop?sslmode=disable")
        with pytest.raises(ConfigurationError, match="the tablespace is gone") as raised:
            await open_database(shop_in(tmp_path), settings, SystemClock(), INERT)
    assert str(raised.value).startswith(f"SOUK_POSTGRES ({server}): database shop")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("query", ["sslmode=secret", "ssl_min_protocol_version=secret"])
async def test_a_url_that_the_driver_cannot_read_is_not_quoted(query: str, tmp_path: Path) -> None:
    settings = DataSettings(tmp_path, postgres=f"postgresql://u:secret@h:1/shop?{query}")
    with pytest.raises(ConfigurationError) as raised:
        await open_database(shop_in(tmp_path), settings, SystemClock(), INERT)
    assert str(raised.value) == "SOUK_POSTGRES (h:1): the driver cannot read this URL"


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_in_a_file_nobody_is_waited_for_who_is_gone(
    engine: str,
    tmp_path: Path,
    postgres_url: str,
) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_shop.sql").write_text("CREATE TABLE shop (id TEXT);")
    service: Any = SimpleNamespace(name="shop", migrations=tmp_path / "migrations")
    settings = DataSettings(tmp_path, postgres=postgres_url if engine == "postgres" else None)
    database = await open_database(service, settings, SystemClock(), INERT)
    await database.run(leave)
    await database.close()

    database = await open_database(service, settings, SystemClock(), INERT)
    run, lease, relays = await database.read(standing)
    await database.close()
    assert run is not None
    assert lease is not None
    # A file is locked by the process that opens it; on a server others may be at work.
    over = engine == "sqlite"
    assert (run["lease_until"], run["epoch"], run["deadline_at"]) == (0 if over else FAR, 7, FAR)
    assert (lease["until"], lease["epoch"], len(relays)) == ((0, 7, 0) if over else (FAR, 7, 1))
