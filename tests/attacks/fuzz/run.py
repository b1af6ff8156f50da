"""The run: many connections at once, each answer checked, and the memory of the process watched."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from random import Random
from urllib.error import HTTPError

from marketplace.app.app import app
from souk.descriptors.contract import contract_of
from tests.attacks.conversation import converse, ends_in
from tests.attacks.fuzz.files import READERS, read_one
from tests.attacks.fuzz.shots import Shooter, Shot
from tests.attacks.fuzz.target import FuzzTarget

MEBIBYTE = 1024 * 1024
MOST_GROWTH = 64 * MEBIBYTE
"""By how much the memory in use may grow after the warm-up: new orders and accounts fill caches, which are bounded."""
DELIBERATE = frozenset({501, 505})
"""Statuses above 4xx that say what HTTP asks them to say of a request."""
SLOW = 5.0
"""Seconds in which a file has to be read or refused."""
WARM_UP = 0.2
"""The share of the time after which memory is compared."""
_WORKERS = 12
_TOKEN_LASTS = 300.0
_STATUS = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) [A-Z]")


@dataclass
class Report:
    """What a run gave. `failures` are what was wrong, each with the file that holds the input."""

    seed: int
    shots: int = 0
    files: int = 0
    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    resident: list[tuple[float, int]] = field(default_factory=list)

    @property
    def growth(self) -> int:
        """By how many bytes the memory in use has grown since the warm-up."""
        after = [size for moment, size in self.resident if moment >= self.seconds * WARM_UP] or [0]
        return after[-1] - after[0]

    def line(self) -> str:
        """Says where the run is."""
        common = ", ".join(f"{name} {count:,}" for name, count in self.statuses.most_common(12))
        memory = self.resident[-1][1] / MEBIBYTE if self.resident else 0.0
        return (
            f"{self.seconds:6.0f} s  {self.shots:,} connections, {self.files:,} files, {memory:.0f} MiB, "
            f"{len(self.failures)} failures; {common}"
        )


class FuzzRun:
    """One run with a seed. Inputs that fail are kept in the folder `keep`, and `say` gets a line for each."""

    def __init__(self, target: FuzzTarget, seed: int, keep: Path, say: Callable[[str], None]) -> None:
        self._target, self._keep, self._say = target, keep, say
        contracts = [contract_of(service.contract) for service in app.services]
        methods = [method.full_name for contract in contracts for method in contract.methods.values()]
        self._shooter = Shooter(seed, target.document(), methods)
        self._lock = threading.Lock()
        self._next = 0
        self._token, self._token_at = target.token(), time.monotonic()
        self.report = Report(seed)

    def run(self, seconds: float, every: float = 30.0) -> Report:
        """Runs for so long, and says a line `every` so many seconds."""
        began = time.monotonic()
        end = began + seconds
        with ThreadPoolExecutor(_WORKERS + 1) as threads:
            working = [threads.submit(self._shoot, end) for _ in range(_WORKERS)]
            working.append(threads.submit(self._read_files, end))
            told = began
            while time.monotonic() < end and not any(one.done() for one in working):
                time.sleep(min(0.5, seconds / 20))
                self._measure(time.monotonic() - began)
                if time.monotonic() - told >= every:
                    told = time.monotonic()
                    self._say(self.report.line())
            for one in working:
                one.result()
        self._measure(time.monotonic() - began)
        self._judge()
        self._say(self.report.line())
        return self.report

    def _measure(self, moment: float) -> None:
        self.report.seconds = moment
        if self._target.process.runs:
            self.report.resident.append((moment, self._target.resident()))

    def _judge(self) -> None:
        if self.report.growth > MOST_GROWTH:
            self.report.failures.append(f"the memory in use grew by {self.report.growth / MEBIBYTE:.0f} MiB")
        if not self._target.process.runs:
            self.report.failures.append("the process has ended")

    def _shoot(self, end: float) -> None:
        while time.monotonic() < end and self._target.process.runs:
            with self._lock:
                number, self._next = self._next, self._next + 1
                if time.monotonic() - self._token_at > _TOKEN_LASTS:
                    self._log_in_again()
            self.fire(number)

    def _log_in_again(self) -> None:
        """Renews the token; while the input itself has locked the account, the old one is used a little longer."""
        try:
            self._token, self._token_at = self._target.token(), time.monotonic()
        except HTTPError as error:
            if error.code != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            self._token_at += float(error.headers["retry-after"])

    def fire(self, number: int) -> None:
        """Sends the input of a number and checks what comes back."""
        shot = self._shooter.shot(number, self._token)
        try:
            came = converse(self._target.address, shot.octets)
            statuses = sorted(ends_in(came)) if shot.http2 else [found.decode() for found in _STATUS.findall(came)]
        except Exception as error:  # whatever it is, it belongs to this input
            self._failed(number, shot.kind, shot.octets, f"{type(error).__name__}: {error}")
            return
        with self._lock:
            self.report.shots += 1
            self.report.statuses.update(statuses or ["no answer"])
        self._check(number, shot, statuses, came)

    def _check(self, number: int, shot: Shot, statuses: Sequence[str], came: bytes) -> None:
        bad = [one for one in statuses if one.isdigit() and int(one) >= 500 and int(one) not in DELIBERATE]
        bad += [one for one in statuses if one == "INTERNAL_ERROR"]
        if bad:
            self._failed(number, shot.kind, shot.octets, f"answered {bad}: {came[-600:]!r}")
        if self._target.upstream.faults:
            with self._lock:
                faults, self._target.upstream.faults[:] = list(self._target.upstream.faults), []
            self._failed(number, shot.kind, shot.octets, f"about now the upstream got {faults}")

    def _read_files(self, end: float) -> None:
        number = 0
        while time.monotonic() < end:
            for name in READERS:
                random = Random(f"{self.report.seed}:{name}:{number}")
                began = time.monotonic()
                try:
                    octets = read_one(name, random, self._keep)
                    if time.monotonic() - began > SLOW:
                        self._failed(number, name, octets, f"took {time.monotonic() - began:.1f} s")
                except Exception as error:  # whatever it is, it belongs to this input
                    octets = (self._keep / name.replace(" ", ".")).read_bytes()
                    self._failed(number, name, octets, f"{type(error).__name__}: {error}")
                self.report.files += 1
            if number % 50 == 0:  # the running gateway reads its file again, now and then one that is wrong
                wrong = number % 100 == 0
                self._target.routes.write_bytes(b"routes: {/up: nowhere}\n" if wrong else self._target.route())
            number += 1
            time.sleep(0.02)

    def _failed(self, number: int, kind: str, octets: bytes, why: str) -> None:
        path = self._keep / f"{re.sub('[^a-z0-9]+', '-', kind.lower())}-{number}.bin"
        path.write_bytes(octets)
        line = f"FAILED {kind} #{number} of seed {self.report.seed}: {why[:1500]}; the input is {path}"
        with self._lock:
            self.report.failures.append(line)
        self._say(line)
