"""A system of one service, run as a user would run it: `souk up` as a process of its own."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TINY = Path(__file__).parent / "tiny"
PATIENCE = 30.0


@dataclass
class Process:
    process: asyncio.subprocess.Process
    url: str

    async def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SOUK_")}
    return {**kept, "PYTHONPATH": str(TINY), "SOUK_APP": "tiny", **settings}


async def start(*arguments: str, **settings: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "souk.cli", *arguments),
        env=environment(**settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def until_ready(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
    found = re.search(r"http://\S+", line)
    assert found, line + (await process.stderr.read()).decode()
    return found.group()


@asynccontextmanager
async def running(data: Path, *arguments: str, **settings: str) -> AsyncIterator[Process]:
    process = await start("up", "--port", "0", "--data", str(data), *arguments, **settings)
    try:
        yield Process(process, await until_ready(process))
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def up() -> Callable[..., Any]:
    return running


@pytest.fixture
def souk() -> Callable[..., Any]:
    """Runs a command to its end; gives status, standard output and standard error."""

    async def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
        process = await start(*arguments, **settings)
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    return run
