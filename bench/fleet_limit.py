"""Measures the limit of a fleet: the SQL of real orders on PostgreSQL and their bare hops, concurrently, and nothing
else.

A fleet takes orders from 32 clients while every statement and every call is recorded. Then the statements are replayed
with the bare driver, by a process with a pool for each service, on a copy of the data that the fleet began with (fsync
and synchronous_commit as in the fleet), while two processes exchange as many bare messages of the same sizes. There
are no sagas, events, layers, domain code, JSON or the bank.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench.buying import CLIENTS, buying, settle
from bench.figures import progress
from bench.fleet_recorded import Recorded, hops, read
from bench.fleet_system import running_fleet
from bench.load import load
from souk.backing.credentials import Credentials
from souk.backing.postgres.server import STOP_SIGNAL, cluster_in
from souk.backing.run_as import engine_user
from souk.runtime.process.launcher import as_user

_CONNECTIONS = 100
_RECORDING = Path(__file__).parent / "recording"
_EDGE = (700, 1_200)
"""Octets of an order's request at the gateway, and of its response."""


@dataclass(frozen=True, slots=True)
class Play:
    """The result of a replay: orders per second, and milliseconds of CPU for each order outside PostgreSQL."""

    per_second: float
    sql: float
    hops: float


@dataclass(frozen=True, slots=True)
class FleetLimit:
    """The recorded work of `orders` orders between `began` and `ended` (seconds, monotonic)."""

    folder: Path
    orders: int
    began: float
    ended: float

    @classmethod
    def recorded(cls, folder: Path, orders: int) -> "FleetLimit":
        """Records a fleet's work while it takes orders; the data from before is in `fleet-before`."""
        data, records = folder / "fleet-recorded", folder / "fleet-statements"
        records.mkdir()
        with running_fleet(data) as system:
            buying(system)
        _copy(data, folder / "fleet-before")
        progress("fleet's limit: recording statements and calls of orders")
        recording = {"BENCH_RECORD": str(records), "PYTHONPATH": f"{_RECORDING}:{os.environ.get('PYTHONPATH', '')}"}
        with running_fleet(data, environment=recording) as system:
            sent = load(buying(system)(requests=orders))
            ended = sent.ended + settle(system) + 0.5
        return cls(folder, sent.answers, sent.began, ended)

    def play(self) -> Play:
        """Replays statements and hops concurrently. Raises RuntimeError when a part of them fails."""
        with self._postgres() as url, ExitStack() as stack:
            hopping = _Hopping(stack, self._hops(), self.orders)
            players = [
                _Worker(stack, "bench.fleet_replay", *map(str, files), url(service), str(self.began), str(self.ended))
                for service, files in self._files().items()
            ]
            parts = [*players, hopping.caller]
            for part in parts:
                part.line()
            began = time.monotonic()
            for part in parts:
                part.go()
            spent = [float(part.line().split()[1]) * 1000 / self.orders for part in parts]
            took = time.monotonic() - began
            return Play(self.orders / took, sum(spent[:-1]), spent[-1] + hopping.served() * 1000 / self.orders)

    def counts(self) -> dict[str, float]:
        """Gives each service's round trips to PostgreSQL, and its calls, for each order."""
        found = {f"calls by {one.service}": float(len(one.calls)) / self.orders for one in self._recorded()}
        for one in self._recorded():
            timed = [each for each in one.statements if self.began <= each.began <= self.ended]
            found[f"round trips of {one.service}"] = len(timed) / self.orders
        return found

    def _recorded(self) -> list[Recorded]:
        return [read(file) for file in sorted((self.folder / "fleet-statements").glob("*.pickle"))]

    def _hops(self) -> list[tuple[int, int]]:
        return [_EDGE, *hops(self._recorded(), self.began, self.ended, self.orders)]

    def _files(self) -> dict[str, list[Path]]:
        """Gives the files of records by service, for services that have a database."""
        found: dict[str, list[Path]] = {}
        for file in sorted((self.folder / "fleet-statements").glob("*.pickle")):
            one = read(file)
            if one.statements:
                found.setdefault(one.service, []).append(file)
        return found

    @contextmanager
    def _postgres(self) -> Iterator["_Url"]:
        """Starts a server on a copy of the data, as the fleet starts it; gives the function that makes its URLs."""
        copy = self.folder / "fleet-played"
        shutil.rmtree(copy, ignore_errors=True)
        _copy(self.folder / "fleet-before", copy)
        cluster = cluster_in(copy / "postgres", engine_user())
        command = cluster.command(_CONNECTIONS)
        with (self.folder / "fleet-played.log").open("ab") as log:
            words = (*as_user(command.user), *command.words)
            server = subprocess.Popen(words, env=dict(command.environment), cwd="/", stdout=log, stderr=log)
        try:
            while not cluster.answers(server.pid):
                if server.poll() is not None:
                    raise RuntimeError("PostgreSQL did not start on the copy")
                time.sleep(0.05)
            yield _Url(Credentials(copy / "fleet" / "credentials.json"), cluster.socket)
        finally:
            server.send_signal(STOP_SIGNAL)
            server.wait()


@dataclass(frozen=True, slots=True)
class _Url:
    credentials: Credentials
    socket: Path

    def __call__(self, service: str) -> str:
        role = f"souk_{service}"
        return f"postgresql://{role}:{self.credentials.password(role)}@/{role}?host={quote(str(self.socket))}"


class _Worker:
    """A process that prints a line when it is ready, waits for a line, and prints another when it is done."""

    def __init__(self, stack: ExitStack, module: str, *words: str) -> None:
        command = (sys.executable, "-m", module, *words)
        self._process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("what was recorded could not be played")
        return line.strip()


def bare_hops(sizes: Sequence[tuple[int, int]], rounds: int) -> float:
    """Gives how many times a second 32 clients can make these hops, one after the other, and do nothing else."""
    with ExitStack() as stack:
        hopping = _Hopping(stack, sizes, rounds)
        hopping.caller.line()
        hopping.caller.go()
        took = float(hopping.caller.line().split()[0])
        hopping.served()
        return rounds / took


class _Hopping:
    """The server and the clients of the bare hops."""

    def __init__(self, stack: ExitStack, sizes: Sequence[tuple[int, int]], orders: int) -> None:
        self._server = _Worker(stack, "bench.fleet_hops", "serve")
        texts = [f"{out}:{back}" for out, back in sizes]
        words = ("call", self._server.line(), str(orders), str(CLIENTS), *texts)
        self.caller = _Worker(stack, "bench.fleet_hops", *words)
        self._server.go()

    def served(self) -> float:
        """Ends the server; returns its CPU seconds."""
        self._server.go()
        return float(self._server.line())


def _copy(data: Path, to: Path) -> None:
    """Copies a data directory with the owners of its files: PostgreSQL's belong to its own user."""
    subprocess.run(("cp", "-a", str(data), str(to)), check=True)
