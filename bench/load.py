"""Load over HTTP/1.1 from a process of its own: `load(Load(...))` runs `python -m bench.load`.

It is a closed loop: each client has one connection, kept alive, and sends its next request when the last
one is answered. The generator shares the cores with what it measures, so it does little and reports its own CPU.
"""

import asyncio
import json
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import count
from os import sched_setaffinity
from typing import Any

import uvloop

KEY = "@" * 32
"""Stands in a request's body for a unique key."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: `bodies` in turn, by `clients`, until `seconds` have passed or `requests` were sent."""

    port: int
    method: str
    path: str
    bodies: tuple[str, ...] = ("",)
    headers: Mapping[str, str] = field(default_factory=dict)
    clients: int = 32
    seconds: float = 60.0
    requests: int = 1_000_000_000
    expect: int = 200
    core: int | None = None
    paths: tuple[str, ...] = ()
    """Paths that are requested in turn, instead of `path`."""
    rate: float = 0.0
    """Requests a second of all clients together, at even distances; 0 for as many as there are answers. A latency is
    then counted from when its request was due."""
    others: bool = False
    """Whether responses with another status than the expected one are counted, instead of failing the load."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of a load. Latencies are in milliseconds, `cpu` is the load generator's share of a core."""

    answers: int
    seconds: float
    per_second: float
    p50: float
    p99: float
    cpu: float
    began: float
    ended: float
    other: int = 0
    """How many responses did not have the expected status."""


def load(what: Load) -> Sent:
    """Runs a load in a process of its own. Raises RuntimeError when a response had another status than expected,
    unless `others` are counted."""
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=json.dumps(asdict(what)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the load failed")
    return Sent(**json.loads(done.stdout))


class _Run:
    """The state that all clients of a load share."""

    def __init__(self, what: Load) -> None:
        self.expect = b"HTTP/1.1 %d" % what.expect
        self.requests = _requests(what)
        self.times: list[float] = []
        self.wrong: Counter[str] = Counter()
        self.until = time.perf_counter() + what.seconds
        self.left = what.requests
        self.clients = what.clients
        self.every = what.clients / what.rate if what.rate else 0.0
        self.done = asyncio.get_running_loop().create_future()

    def next(self) -> bytes | None:
        """Gives the next request, or None when the load is over."""
        if self.left <= 0 or time.perf_counter() >= self.until:
            return None
        self.left -= 1
        return next(self.requests)

    def leave(self) -> None:
        """Counts a client that has ended."""
        self.clients -= 1
        if not self.clients and not self.done.done():
            self.done.set_result(None)


def _requests(what: Load) -> Iterator[bytes]:
    """Gives whole requests, each with its own key."""
    templates = [_request(what, path, body) for path in what.paths or (what.path,) for body in what.bodies]
    run = f"{time.time_ns():x}"
    for number in count():
        yield templates[number % len(templates)].replace(KEY.encode(), f"{run}-{number}".ljust(32, "-").encode())


def _request(what: Load, path: str, body: str) -> bytes:
    headers = {"host": f"127.0.0.1:{what.port}", **what.headers}
    if body:
        headers |= {"content-type": "application/json", "content-length": str(len(body.encode()))}
    lines = [f"{what.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class _Client(asyncio.Protocol):
    """One connection. Responses must have a content-length, and come one after the other."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._began = self._due = 0.0
        self._left = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        every = self._run.every
        if not every:
            self._send_now(time.perf_counter())
            return
        now = time.perf_counter()
        self._due = self._due + every if self._due else now + every * random.random()
        asyncio.get_running_loop().call_later(max(0.0, self._due - now), self._send_now, self._due)

    def _send_now(self, due: float) -> None:
        request = self._run.next()
        if request is None or self._left:
            self._leave()
        else:
            self._began = due
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        answer = self._buffer = self._buffer + data if self._buffer else data
        head = answer.find(b"\r\n\r\n")
        if head < 0 or len(answer) < head + 4 + _length(answer, head):
            return
        self._run.times.append(time.perf_counter() - self._began)
        if not answer.startswith(self._run.expect):
            self._run.wrong[answer[:500].decode("utf-8", "replace")] += 1
        self._buffer = b""
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._left:
            self._run.wrong[f"the connection was lost: {error}"] += 1
            self._leave()

    def _leave(self) -> None:
        if self._left:
            return
        self._left = True
        self._transport.close()
        self._run.leave()


def _length(answer: bytes, head: int) -> int:
    lowered = answer[:head].lower()
    start = lowered.find(b"\r\ncontent-length:")
    if start < 0:
        return 0
    end = lowered.find(b"\r\n", start + 2)
    return int(lowered[start + 17 : end if end >= 0 else head])


async def _run(what: Load) -> Sent:
    loop = asyncio.get_running_loop()
    run = _Run(what)
    began, cpu = time.monotonic(), _cpu()
    for _ in range(what.clients):
        await loop.create_connection(lambda: _Client(run), "127.0.0.1", what.port)
    await run.done
    ended = time.monotonic()
    if run.wrong and not what.others:
        answer, often = run.wrong.most_common(1)[0]
        raise RuntimeError(f"{sum(run.wrong.values())} of {len(run.times)} went wrong; {often} x {answer!r}")
    times = sorted(run.times)
    took = ended - began
    return Sent(
        answers=len(times),
        seconds=took,
        per_second=len(times) / took,
        p50=times[len(times) // 2] * 1000,
        p99=times[len(times) * 99 // 100] * 1000,
        cpu=(_cpu() - cpu) / took,
        began=began,
        ended=ended,
        other=sum(run.wrong.values()),
    )


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Reads a Load from standard input and writes a Sent to standard output, both as JSON."""
    what = Load(**json.load(sys.stdin))
    if what.core is not None:
        sched_setaffinity(0, {what.core})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(_run(what)))))


if __name__ == "__main__":
    main()
