"""Real registry engines as processes: finds them, starts them on loopback, kills them."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

PATIENCE = 180.0
"""Seconds after which an engine that does not answer fails the test."""

_TOOL = Path(__file__).resolve().parent.parent.parent / "tools" / "engines.py"


def engine_path(name: str) -> str:
    """Returns the path of an engine; skips the test, with the reason, when it is not on this machine."""
    found = subprocess.run([sys.executable, str(_TOOL), "path", name], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(found.stderr.strip())
    return found.stdout.strip()


@dataclass
class EngineProcess:
    """One engine's process. `answers` decides by the response at `url` whether it has started."""

    command: tuple[str, ...]
    url: str
    folder: Path
    answers: Callable[[httpx.Response], bool] = lambda answer: answer.is_success
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.folder / "log"

    async def start(self) -> None:
        """Starts it if it does not run, and waits until it answers."""
        if not self.running:
            self._spawn()
        ends = time.monotonic() + PATIENCE
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            while not await self._answers(client):
                assert self.running, f"{self.command[0]} has ended: {self.log.read_text()[-2_000:]}"
                assert time.monotonic() < ends, f"{self.command[0]} does not answer: {self.log.read_text()[-2_000:]}"
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """Kills it and waits until it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=_environment()
            )

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        try:
            return self.answers(await client.get(self.url))
        except httpx.HTTPError:
            return False


def _environment() -> dict[str, str]:
    """Returns this process's environment without the variables that would configure an engine."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ETCD_", "CONSUL_", "EUREKA_"))}
