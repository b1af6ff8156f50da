"""Whoever reads goes away, as `head` does: what serves goes on, what does one thing ends quietly."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from souk.cli.group import NOBODY_READS
from souk.runtime.data.layout import DataLayout
from souk.testing.fake_fleet import fake_fleet
from souk.testing.free_ports import free_port
from souk.testing.processes import PATIENCE, ForkedService, begin

ENDLESS = 200_000


async def started(*arguments: str, settings: Mapping[str, str] | None = None, err: int) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SOUK_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "souk.cli", *arguments),
        env={**kept, **(settings or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=err,
    )


async def leave_after(process: "asyncio.subprocess.Process | ForkedService", lines: int) -> None:
    """Reads so many lines, and closes the pipe."""
    assert process.stdout is not None
    for _ in range(lines):
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    process.stdout._transport.close()  # type: ignore[attr-defined]  # asyncio has no other way


@pytest.mark.parametrize("arguments", [("up", "--demo"), ("serve", "gateway")])
async def test_what_serves_goes_on(tmp_path: Path, tiny: Mapping[str, str], arguments: tuple[str, ...]) -> None:
    port, log = free_port(), tmp_path / "log"
    settings = {**tiny, "SOUK_LOG_FILE": str(log), "SOUK_LOG_LEVEL": "debug"}
    words = (*arguments, "--data", str(tmp_path / "data"), "--port", str(port))
    process = await started(*words, settings=settings, err=asyncio.subprocess.STDOUT)
    try:
        await leave_after(process, 1)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for _ in range(3):
                assert (await client.get("/api/v1/nothing")).status_code == 404
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
        assert log.read_text().count('"event":"request"') == 3
        assert "Traceback" not in log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_what_does_one_thing_ends_quietly(tmp_path: Path) -> None:
    async with fake_fleet(tmp_path) as fleet:
        await fleet.add("order", "order-1")
        DataLayout(tmp_path).log("order-1").write_text("a line\n" * ENDLESS)
        data = ("--data", str(tmp_path))
        for words in (
            ("logs", "order", "-f", "-n", "100000", *data),
            ("logs", "order", "-n", "100000", *data),
            ("ps", "--watch", "--json", *data),
            ("openapi",),
            ("routes",),
        ):
            process = await begin(*words)
            await leave_after(process, 1)
            if "--watch" in words:
                fleet.add_engine("postgres", "engine")  # something to tell
            assert process.stderr is not None
            said = await asyncio.wait_for(process.stderr.read(), PATIENCE)
            status = await asyncio.wait_for(process.wait(), PATIENCE)
            said = said.removeprefix(b"souk: older lines match as well, and are left out; -n shows more\n")
            assert (status in {0, NOBODY_READS}, said) == (True, b""), (words, status, said.decode())
