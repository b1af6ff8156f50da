"""`souk order` against a whole system: in a pipe, as JSON, and on a terminal."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.testing.processes import PATIENCE, run, system
from souk.testing.terminal import on_a_terminal

SERVICES = ["user", "product", "inventory", "order", "order", "payment", "inventory", "order", "notification"]


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with system(tmp_path, "--demo") as up:
        yield up.address


async def test_in_a_pipe_it_is_plain_and_tells_every_step(url: str, tmp_path: Path) -> None:
    ended = await run("order", "--url", url, "--data", str(tmp_path))
    assert ended.status == 0, ended.err
    assert "\x1b" not in ended.out
    assert re.findall(r"^ ?\d+  (\S+)", ended.out, re.MULTILINE) == SERVICES
    assert " ms  ORD-" in ended.out
    assert "98 can be had now, 2 fewer" in ended.out
    assert str(tmp_path / "order.db") in ended.out
    letter = re.search(r"wrote the mail in (\S+\.eml)", ended.out)
    assert letter is not None
    assert Path(letter.group(1)).exists()


async def test_as_json_it_is_one_document(url: str) -> None:
    steps = json.loads((await run("order", "--url", url, "--json")).out)["steps"]
    assert [step["service"] for step in steps] == SERVICES
    assert all(step["milliseconds"] > 0 for step in steps[:-1])


async def test_what_the_api_refuses_is_said_in_one_line(url: str) -> None:
    ended = await run("order", "--url", url, "--password", "wrong-password")
    assert ended.status == 1
    assert ended.err.count("\n") == 1
    assert "401 BAD_CREDENTIALS" in ended.err
    assert "wrong-password" not in ended.err


async def test_on_a_terminal_it_is_coloured(url: str) -> None:
    assert b"\x1b[" in await asyncio.to_thread(on_a_terminal, "order", "--url", url)


async def test_piped_with_a_log_file_nothing_stands_between_the_lines(tmp_path: Path) -> None:
    """As `make run | cat`: both streams in one pipe."""
    log = tmp_path / "souk.log"
    up = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "souk.cli", "up", "--demo", "--port", "0", "--data", str(tmp_path), "--then", "order"),
        env={**os.environ, "SOUK_LOG_FILE": str(log)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert up.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("Done:"):
        lines.append((await asyncio.wait_for(up.stdout.readline(), PATIENCE)).decode())
        assert lines[-1], lines
    up.terminate()
    lines += (await up.stdout.read()).decode().splitlines(keepends=True)
    assert await up.wait() == 0
    assert not [line for line in lines if line.startswith("{") or '"event"' in line or "\x1b" in line]
    assert [match[1] for line in lines if (match := re.match(r" ?\d+  (\S+)", line))] == SERVICES
    assert log.read_text().count('"event":"request"') >= len(SERVICES) - 1
