"""Runs `souk` as a user does, as a process that is always ended with the test."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from souk.testing.fork_server import ForkedProcess, fork_server, may_be_forked

PATIENCE = 120.0
"""Seconds after which a process without the expected output fails the test."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The exit status and the output of a command that has ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class SoukProcess:
    """A serving process: a whole system at an URL, or one service at host:port."""

    process: "asyncio.subprocess.Process | ForkedService"
    address: str

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal, waits, and returns the exit status, which is negative for a signal."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


def _environment(settings: Mapping[str, str] | None) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SOUK_")}
    return {**kept, **(settings or {})}


async def start(*arguments: str, settings: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    """Starts `souk` with arguments, without the `SOUK_*` variables of this process."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "souk.cli", *arguments),
        env=_environment(settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def run_now(
    *arguments: str, settings: Mapping[str, str] | None = None, given: bytes = b"", patience: float = PATIENCE
) -> Ended:
    """Runs a command to its end, with `given` on its standard input; kills it after `patience` seconds.

    It is forked from a process that has everything imported, unless a setting is for its interpreter.
    """
    environment = _environment(settings)
    if not may_be_forked(settings or {}):
        command = (sys.executable, "-m", "souk.cli", *arguments)
        done = subprocess.run(command, env=environment, input=given, capture_output=True, timeout=patience, check=False)
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
    return Ended(*fork_server().run(arguments, environment, given, patience))


async def run(*arguments: str, settings: Mapping[str, str] | None = None, given: bytes = b"") -> Ended:
    """Runs a command as `run_now` does, while this process goes on."""
    return await asyncio.to_thread(run_now, *arguments, settings=settings, given=given)


class ForkedService:
    """A serving process that was forked; it is used as one of asyncio's is."""

    def __init__(self, process: ForkedProcess, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self._process, self.stdout, self.stderr = process, stdout, stderr

    @classmethod
    async def start(cls, arguments: Sequence[str], settings: Mapping[str, str] | None) -> "ForkedService":
        """Starts `souk` with arguments, as `start` does."""
        process, stdout, stderr = _forked(arguments, _environment(settings))
        return cls(process, await _reader(stdout), await _reader(stderr))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def send_signal(self, number: int) -> None:
        """Sends it a signal if it runs."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kills it if it runs."""
        self._process.kill()

    async def wait(self) -> int:
        """Waits for its end, and returns its exit status."""
        if self.returncode is None:
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(self._process.fileno(), ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(self._process.fileno())
        return self._process.wait()

    async def communicate(self) -> tuple[bytes, bytes]:
        """Waits for its end, and returns what of its output was not read yet, and its errors."""
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return out, err


def _forked(arguments: Sequence[str], variables: Mapping[str, str]) -> tuple[ForkedProcess, IO[bytes], IO[bytes]]:
    (out, stdout), (err, stderr) = os.pipe(), os.pipe()
    with open(os.devnull, "rb") as nothing, open(stdout, "wb") as to_out, open(stderr, "wb") as to_err:
        process = fork_server().start(arguments, variables, (nothing, to_out, to_err))
    return process, open(out, "rb", buffering=0), open(err, "rb", buffering=0)


async def _reader(pipe: IO[bytes]) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


async def begin(
    *arguments: str, settings: Mapping[str, str] | None = None
) -> "asyncio.subprocess.Process | ForkedService":
    """Starts `souk` with arguments as `start` does, but forked unless a setting is for its interpreter."""
    if may_be_forked(settings or {}):
        return await ForkedService.start(arguments, settings)
    return await start(*arguments, settings=settings)


@asynccontextmanager
async def serving(*arguments: str, ready: str, settings: Mapping[str, str] | None = None) -> AsyncIterator[SoukProcess]:
    """Starts a serving process and waits until its first line matches `ready`, whose group is the address."""
    process = await begin(*arguments, settings=settings)
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
        found = re.search(ready, line)
        if found is None:
            _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
            raise AssertionError(f"souk {' '.join(arguments)} is not ready: {line}{err.decode()}")
        yield SoukProcess(process, found.group(1))
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def system(data: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> AsyncIterator[SoukProcess]:
    """Runs `souk up` on any free port; the address is its URL."""
    flags = ("--port", "0", "--data", str(data))
    async with serving("up", *flags, *arguments, ready=r"(https?://\S+)", settings=settings) as process:
        yield process


@asynccontextmanager
async def service(
    name: str, data: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[SoukProcess]:
    """Runs `souk serve` on any free port; the address is host:port."""
    flags = ("--data", str(data), *arguments)
    async with serving("serve", name, *flags, ready=rf"^ready {name} (\S+)\n", settings=settings) as process:
        yield process
