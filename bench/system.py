"""The system that is measured: `souk up --demo`, as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from bench.api_client import Client
from souk.kernel.errors import SoukError

SOUK = (sys.executable, "-m", "souk.cli")
PATIENCE = 300.0
MEBIBYTE = 1024 * 1024
_NO_MORE: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class System:
    """A system that is ready. `started_in` is how many seconds its start took."""

    port: int
    process: psutil.Process
    started_in: float
    data: Path

    @property
    def memory(self) -> float:
        """Resident memory, in MiB."""
        return float(self.process.memory_info().rss) / MEBIBYTE

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, token: str = "") -> dict[str, Any]:
        """Sends a request; returns the JSON of its response."""
        client = Client(f"http://127.0.0.1:{self.port}", token)
        try:
            return client.call(method, path, body).body
        finally:
            client.close()

    def token(self, user: str = "demo") -> str:
        """Gets an access token of one of the demo users."""
        body = {"email": f"{user}@souk.test", "password": f"{user}-password"}
        return str(self.call("POST", "/api/v1/auth/token", body)["accessToken"])

    def mails(self) -> int:
        """Gives how many mails were written."""
        return sum(1 for _ in (self.data / "notification" / "mailbox").glob("*.eml"))


def free_port() -> int:
    """Gives a port that is free at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def process(command: Sequence[str], log: Path, environment: Mapping[str, str] = _NO_MORE) -> Iterator[psutil.Process]:
    """Starts a process; asks it to end when the block ends, and waits for that."""
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
    with log.open("ab") as stream:
        started = subprocess.Popen(command, stdout=stream, stderr=stream, env=variables)
    try:
        yield psutil.Process(started.pid)
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def process_with_lines(command: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    """Starts a process that reads lines and answers them; its input ends with the block, and it must end then."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdin is not None
        try:
            yield started
        finally:
            started.stdin.close()


@contextmanager
def running(
    data: Path, command: Sequence[str] = SOUK, options: Sequence[str] = (), environment: Mapping[str, str] = _NO_MORE
) -> Iterator[System]:
    """Starts a system with demo data in a directory, and stops it when the block ends; its log is beside the
    directory."""
    port, log = free_port(), data.with_suffix(".log")
    arguments = ("up", "--demo", "--port", str(port), "--data", str(data), *options)
    began = time.monotonic()
    with process((*command, *arguments), log, environment) as started:
        _wait(port, started, log, began)
        yield System(port, started, time.monotonic() - began, data)


def _wait(port: int, started: psutil.Process, log: Path, began: float) -> None:
    while not _ready(port):
        if started.status() == psutil.STATUS_ZOMBIE or time.monotonic() - began > PATIENCE:
            raise RuntimeError(f"the system did not start: {_last_line(log)}")
        time.sleep(0.01)


def _ready(port: int) -> bool:
    try:
        return Client(f"http://127.0.0.1:{port}").call("GET", "/readyz").status == 200
    except SoukError:
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
