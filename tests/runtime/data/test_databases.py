"""A database as a process finds it that starts on it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from souk.faults import INERT
from souk.kernel.clock import SystemClock
from souk.runtime.config.settings import Settings
from souk.runtime.data.databases import open_database
from souk.store.database import Row, Transaction
from souk.testing.postgres import postgres_server, postgres_url  # noqa: F401 - fixtures

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


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_in_a_file_nobody_is_waited_for_who_is_gone(
    engine: str,
    tmp_path: Path,
    postgres_url: str,  # noqa: F811
) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_shop.sql").write_text("CREATE TABLE shop (id TEXT);")
    service: Any = SimpleNamespace(name="shop", migrations=tmp_path / "migrations")
    settings = Settings(data=tmp_path, postgres=postgres_url if engine == "postgres" else None)
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
