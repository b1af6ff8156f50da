"""A real server for a test: it can crash, hang and be started again, and it ends with the test however that ends."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

import httpx
import psutil

from souk.testing.engines import PATIENCE
from souk.testing.system import until

_STOP_LIMIT = 30.0
_AT_REST = {"T", "t", "Z", "X"}
"""The states of threads that are stopped, or have ended."""
_CONFIGURING = ("KAFKA_", "RABBITMQ_", "ERL_", "ES_", "OPENSEARCH_", "AWS_", "MOTO_", "JAVA_", "JDK_", "_JAVA_")
"""How the names of variables begin that would configure an engine."""


class EngineServer(ABC):
    """One server: its processes are one group, and its data and its log lie in a folder.

    `start` after `stop` or `kill` uses the same ports and the same data. The constructor finds the engine and skips the
    test, with the reason, when it is not on this machine. It starts nothing, so that a fixture of a module may
    make it, and a test's own event loop start it:

        with KafkaServer(folder) as server:
            await server.start()
    """

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Makes the command that runs the server in the foreground."""

    def environment(self) -> Mapping[str, str]:
        """Gives the variables that the server needs."""
        return {}

    def prepare(self) -> None:  # noqa: B027 - most need no files
        """Makes the files that the server reads, before every start."""

    @abstractmethod
    async def answers(self) -> bool:
        """Whether it serves its clients."""

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.folder / "log"

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def memory(self) -> int:
        """The resident memory of its processes, in bytes."""
        if self._process is None:
            return 0
        leader = psutil.Process(self._process.pid)
        return sum(one.memory_info().rss for one in (leader, *leader.children(recursive=True)))

    async def start(self) -> None:
        """Starts it if it does not run, lets it go on if it is paused, and waits until it answers."""
        if self.running:
            self.resume()
        else:
            self.kill()
            self.folder.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(self.prepare)
            self._spawn()
        ends = time.monotonic() + PATIENCE
        while not await self.answers():
            assert self.running, f"{self.name} has ended: {self._end_of_log()}"
            assert time.monotonic() < ends, f"{self.name} does not answer: {self._end_of_log()}"
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Asks it to end, as an operator would, and kills it when that takes too long."""
        if self.running:
            assert self._process is not None
            self.resume()
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, _STOP_LIMIT)
        self.kill()

    def kill(self) -> None:
        """Kills all its processes, as a crash does, and waits until it has ended."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.communicate()
            self._keeper = None

    def pause(self) -> None:
        """Stops all its processes where they are; its connections stay open, and nothing answers on them. Returns once
        each of their threads has stopped: a signal reaches one after the other, and until then some may answer."""
        self._signal(signal.SIGSTOP)
        if self._process is not None:
            until(partial(_is_stopped, self._process.pid), PATIENCE, f"{self.name} is stopped")

    def resume(self) -> None:
        """Lets it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**_plain_environment(), **self.environment()},
                start_new_session=True,
            )
        # The pipe closes when this process ends, even by SIGKILL. The keeper is not of the group: it is never paused.
        self._keeper = subprocess.Popen(
            ("sh", "-c", 'read -r _; kill -s KILL -- "-$0"', str(self._process.pid)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _end_of_log(self) -> str:
        return self.log.read_text(errors="replace")[-2_000:]


def _is_stopped(group: int) -> bool:
    """Whether each thread of a process group is stopped, or has ended."""
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if os.getpgid(process.pid) == group and not _threads(process.pid) <= _AT_REST:
                return False
    return True


def _threads(pid: int) -> set[str]:
    """Gives the states of the threads of a process."""
    found = set()
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # it has ended
            found.add(stat.read_text().rpartition(")")[2].split()[0])
    return found


def listens(port: int) -> bool:
    """Whether a server of this machine takes connections on that port of loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


async def is_answered(url: str) -> bool:
    """Whether a server answers a GET with success."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            return (await client.get(url)).is_success
    except httpx.HTTPError:
        return False


def _plain_environment() -> dict[str, str]:
    """Gives this process's environment without the variables that would configure an engine."""
    return {name: value for name, value in os.environ.items() if not name.startswith((*_CONFIGURING, "CLASSPATH"))}
