"""Dumps and restores databases on a PostgreSQL server, by PostgreSQL's own programs."""

import asyncio
import importlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from souk.backing.postgres.binaries import candidates
from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError

PATIENCE = 10.0


def dumping(program: str = "pg_dump") -> str:
    """Finds a program of PostgreSQL; returns its path. Raises ConfigurationError when it is not installed."""
    found = next((folder / program for folder in candidates() if (folder / program).exists()), None)
    path = str(found) if found is not None else shutil.which(program)
    if path is None:
        raise ConfigurationError(f"{program} is not installed: pip install 'souk-platform[fleet]'")
    return path


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Any]:
    """Connects to a database. Raises ConfigurationError, without a password, when it cannot be reached."""
    try:
        driver = importlib.import_module("asyncpg")
    except ModuleNotFoundError:
        raise ConfigurationError("this needs the driver asyncpg: pip install 'souk-platform[postgres]'") from None
    name = urlsplit(url).path.lstrip("/")
    try:
        connection = await driver.connect(url, timeout=PATIENCE)
    except (OSError, TimeoutError, ValueError, driver.PostgresError, driver.InterfaceError) as error:
        raise ConfigurationError(f"the database {name} cannot be reached: {type(error).__name__}") from None
    try:
        yield connection
    finally:
        connection.terminate()


async def dump(url: str, snapshot: str, target: Path) -> None:
    """Writes a database, as an exported snapshot sees it, into the file `target`."""
    os.makedirs(target.parent, exist_ok=True, mode=0o700)
    private_files.create_empty(target)
    words = ("--format=custom", "--no-owner", "--no-acl", f"--snapshot={snapshot}", f"--file={target}")
    await _run(dumping("pg_dump"), url, *words)


async def bring_back(url: str, source: Path) -> None:
    """Restores a dump into an empty database. Raises ConfigurationError when the database is not empty."""
    async with connect(url) as connection:
        if await connection.fetchval("SELECT 1 FROM pg_tables WHERE schemaname = 'public' LIMIT 1"):
            name = urlsplit(url).path.lstrip("/")
            raise ConfigurationError(f"the database {name} is not empty; restore into a new one")
    words = ("--no-owner", "--no-acl", "--exit-on-error", "--single-transaction")
    await _run(dumping("pg_restore"), url, *words, str(source))


async def _run(program: str, url: str, *words: str) -> None:
    """Runs a program of PostgreSQL, with the password in its environment, because every user can read arguments."""
    parts = urlsplit(url)
    user, at, rest = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    shown = parts._replace(netloc=f"{name}{at}{rest}").geturl()
    process = await asyncio.create_subprocess_exec(
        program,
        f"--dbname={shown}",
        *words,
        env={**os.environ, "PGPASSWORD": unquote(password), "LC_ALL": "C.UTF-8"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, output = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if process.returncode:
        reason = output.decode(errors="replace").strip().rpartition("\n")[2]
        raise ConfigurationError(f"{Path(program).name} has failed: {reason}")
