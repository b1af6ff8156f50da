"""Runs a whole system as a user does: by its commands, in processes of its own, on a data directory.

    with embedded(folder) as system:      `souk up`
    with processes(folder) as system:     `souk serve` for each service and for the gateway
    with fleet(folder) as system:         `souk up --topology fleet`
        system.url                        the URL of its gateway
        system.kill(); system.start()     kill -9, and again on the same data

All have one interface, so that one suite runs against each. Only processes that were started here are killed, by
their ids; a fleet by its process group.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.addresses import LOOPBACK
from souk.runtime.config import entry_points
from souk.runtime.data.layout import DataLayout
from souk.testing.fork_server import ForkedProcess, fork_server, may_be_forked
from souk.testing.free_ports import free_port

START_LIMIT = 300.0
STOP_LIMIT = 120.0
POLL = 0.01
SOUK = (sys.executable, "-m", "souk.cli")
_LOG_SHOWN = 20_000


def until(happened: Callable[[], object], limit: float, what: str) -> None:
    """Polls until `happened()` is true; raises AssertionError, which names `what`, after `limit` seconds."""
    end = time.monotonic() + limit
    while not happened():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit:g} s")
        time.sleep(POLL)


class Process:
    """One `souk` process, started by `command`; the pattern `ready` matches the output by which it is ready.

    A `leader` has a process group of its own, which is killed with it.
    """

    def __init__(self, name: str, arguments: Sequence[str], ready: str, folder: Path, leader: bool = False) -> None:
        self.name = name
        self._leader = leader
        self.command = (*SOUK, *arguments)
        self._ready = re.compile(ready)
        self._stdout, self._log = folder / f"{name}.out", folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None

    def spawn(self, settings: Mapping[str, str]) -> None:
        """Starts it, without the `SOUK_*` variables of this process. A leader gets an interpreter of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SOUK_")}
        variables = {**kept, **settings}
        with self._stdout.open("wb") as stdout, self._log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            program, arguments = self.command[: len(SOUK)], self.command[len(SOUK) :]
            if program == SOUK and not self._leader and may_be_forked(settings):
                self._process = fork_server().start(arguments, variables, (nothing, stdout, log))
            else:
                self._process = subprocess.Popen(
                    self.command, env=variables, stdout=stdout, stderr=log, start_new_session=self._leader
                )

    def await_ready(self) -> re.Match[str]:
        """Waits until it is ready and returns the match of `ready`; raises AssertionError, with its log, if it ends."""
        until(lambda: self._match() or self.status is not None, START_LIMIT, f"{self.name} is ready")
        match = self._match()
        if match is None:
            raise AssertionError(f"{self.name} ended with {self.status}\n{self.output()}")
        return match

    def _match(self) -> re.Match[str] | None:
        return self._ready.search(self.stdout)

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def runs(self) -> bool:
        """Whether it was started and still runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal if it runs; SIGKILL goes to the whole group of a leader."""
        if self._process is not None and self.runs:
            if self._leader and number is signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)

    def await_end(self, limit: float = STOP_LIMIT) -> int:
        """Waits for its end and returns the exit status; after `limit` seconds kills it and raises AssertionError."""
        assert self._process is not None, "it was never started"
        try:
            return self._process.wait(limit)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"{self.name} did not end within {limit:g} s\n{self.output()}") from None

    @property
    def stdout(self) -> str:
        """Its standard output since the last start."""
        return self._stdout.read_text(errors="replace")

    @property
    def log(self) -> str:
        """All that it has logged since its first start."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def output(self) -> str:
        """Returns the end of its output and log, for the message of a failed test: what is older is missing."""
        texts = [path.read_text(errors="replace") for path in (self._stdout, self._log) if path.exists()]
        return f"--- {self.name}\n{''.join(texts)[-_LOG_SHOWN:]}"


class System:
    """The processes of one system. `settings` are `SOUK_*` variables for each of them."""

    def __init__(self, mode: str, data: Path, parts: Sequence[Process], settings: Mapping[str, str]) -> None:
        self.mode, self.data, self.parts = mode, data, tuple(parts)
        self.url = ""
        self._settings = dict(settings)

    def start(self, faults: Mapping[str, int] | None = None) -> None:
        """Starts the processes that do not run, and waits until all are ready. `faults` arms points to die at."""
        armed = {"SOUK_FAULTS": ",".join(f"{name}={turn}" for name, turn in faults.items())} if faults else {}
        starting = [part for part in self.parts if not part.runs]
        for part in starting:
            part.spawn({**self._settings, **armed})
        for part in starting:
            match = part.await_ready()
            if part is self.parts[-1]:
                self.url = match["url"] if match["url"].startswith("http") else f"http://{match['url']}"

    def stop(self) -> list[int]:
        """Sends SIGTERM to all processes, the gateway first, and returns their exit statuses."""
        running = [part for part in reversed(self.parts) if part.runs]
        for part in running:
            part.send(signal.SIGTERM)
        return [part.await_end() for part in running]

    def kill(self, *names: str) -> None:
        """Kills the processes of these names, or all of them, with SIGKILL."""
        struck = [part for part in self.parts if part.runs and (not names or part.name in names)]
        for part in struck:
            part.send(signal.SIGKILL)
        for part in struck:
            part.await_end()

    def part(self, name: str) -> Process:
        """Returns the process of a name."""
        return next(part for part in self.parts if part.name == name)

    def dead(self) -> list[str]:
        """Returns the names of the processes that do not run."""
        return [part.name for part in self.parts if not part.runs]

    @property
    def log(self) -> str:
        """All that its processes have logged since their first start."""
        return "".join(part.log for part in self.parts)

    def output(self) -> str:
        """Returns the end of every process's output and log, for the message of a failed test."""
        return "\n".join(part.output() for part in self.parts)


def _folders(folder: Path) -> tuple[Path, Path]:
    data, logs = folder / "data", folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return data, logs


@contextmanager
def _running(system: System, faults: Mapping[str, int] | None) -> Iterator[System]:
    try:
        system.start(faults)
        yield system
    finally:
        system.kill()
        # Sockets of a data directory with a long name are elsewhere; nothing else would delete them.
        DataLayout(system.data.absolute()).forget_sockets()


@contextmanager
def embedded(
    folder: Path, *, faults: Mapping[str, int] | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[System]:
    """Runs the system in one process; it is killed at the end if it still runs."""
    data, logs = _folders(folder)
    command = ("up", "--demo", "--data", str(data), "--port", "0")
    up = Process("up", command, r"is ready on (?P<url>http://\S+)", logs)
    with _running(System("embedded", data, [up], settings or {}), faults) as system:
        yield system


@contextmanager
def processes(
    folder: Path, *, faults: Mapping[str, int] | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[System]:
    """Runs each service and the gateway in a process of its own, on loopback ports; all are killed at the end."""
    data, logs = _folders(folder)
    ports = {service.name: free_port() for service in entry_points.app(None).services}
    addresses = ",".join(f"{name}={LOOPBACK}:{port}" for name, port in ports.items())
    parts = [_serving(name, port, data, logs) for name, port in {**ports, GATEWAY_SERVICE: 0}.items()]
    known = {"SOUK_ADDRESSES": addresses, **(settings or {})}
    with _running(System("processes", data, parts, known), faults) as system:
        yield system


@contextmanager
def fleet(
    folder: Path,
    *,
    faults: Mapping[str, int] | None = None,
    settings: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    mode: str = "fleet",
) -> Iterator[System]:
    """Runs the system as a fleet with engines of its own; all of it is killed at the end if it still runs."""
    with reachable(folder) as reached:
        data, logs = _folders(reached)
        up = fleet_process(data, logs, r"is ready on (?P<url>http://\S+)", *arguments)
        with _running(System(mode, data, [up], settings or {}), faults) as system:
            yield system


def fleet_process(data: Path, logs: Path, ready: str, *arguments: str) -> Process:
    """Makes the supervisor's process of a fleet on `data`, not started yet."""
    command = ("up", "--topology", "fleet", "--demo", "--data", str(data), "--port", "0", *arguments)
    return Process("up", command, ready, logs, leader=True)


@contextmanager
def reachable(folder: Path) -> Iterator[Path]:
    """Yields the folder; for root another one, since PostgreSQL runs as another user, who cannot enter pytest's."""
    if os.geteuid() != 0:
        yield folder
        return
    reached = Path(tempfile.mkdtemp(prefix="souk-fleet-"))
    reached.chmod(0o711)
    try:
        yield reached
    finally:
        shutil.rmtree(reached, ignore_errors=True)


def _serving(name: str, port: int, data: Path, logs: Path) -> Process:
    command = ("serve", name, "--demo", "--data", str(data), "--port", str(port))
    return Process(name, command, rf"(?m)^ready {name} (?P<url>\S+)$", logs)


MODES = {
    "embedded": embedded,
    "processes": processes,
    "fleet": fleet,
    "scaled": partial(fleet, arguments=("--scale", "order=3,inventory=2,payment=2")),
    "mesh": partial(fleet, arguments=("--mesh",), mode="mesh"),
}
"""The ways to run a system, by name."""
LONG = frozenset({"fleet", "scaled", "mesh"})
"""The ways that are too slow for every run of the tests."""
SUPERVISED = frozenset(MODES) - {"processes"}
"""The ways in which `souk` and the console can ask the system: it is one process, or has a supervisor."""
