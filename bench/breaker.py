"""Measures what a breaker around a no-op costs, beside breakers of other libraries.

Each is measured in turns with the bare no-op; the table shows the best of the turns. All breakers are closed, in one
thread, and all calls succeed. Figures of synchronous calls include the loop. From figures of async calls the bare
await is subtracted, so that a breaker for node can be compared with those for Python: a process of node measures it
in the same turns.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import purgatory
import pybreaker

from bench.figures import Figure, Section, progress
from bench.npm import bring
from souk.resilience.breaker.breaker import Breaker, BreakerSettings

SOUK, SOUK_ASYNC = "breaker: souk, last 100 calls", "breaker around an async no-op, less the await: souk"
OPOSSUM = "  opossum 9, fire() on node"
_BARE = "bare await"

Async = Callable[[], Awaitable[object]]


def measure(*, calls: int, turns: int = 7) -> Section:
    """Measures each breaker; the ratio tells how much more souk's costs. Without npm opossum is left out."""
    progress("breaker: turns with others")
    section = Section("breaker")
    section.add(*_figures(_best_plain(calls, turns), SOUK))
    opossum = bring("opossum", "opossum")
    section.add(*_figures(asyncio.run(_best_async(calls, turns, opossum)), SOUK_ASYNC))
    if opossum is None:
        section.notes.append("opossum is not measured: it needs node and npm")
    return section


def _figures(best: dict[str, float], ours: str) -> list[Figure]:
    beside = ours.removeprefix("breaker: ") if ours == SOUK else "souk, async"
    return [
        Figure(name, took * 1e6, "us", *(() if name == ours else (beside, best[ours] / took)))
        for name, took in best.items()
    ]


def _best_plain(calls: int, turns: int) -> dict[str, float]:
    contenders = _contenders()
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(turns):
        for name, work in contenders.items():
            best[name] = min(best[name], _loop(work, calls))
    return best


async def _best_async(calls: int, turns: int, opossum: Path | None) -> dict[str, float]:
    """Gives the seconds of a call beyond the bare await: Python's breakers in this process, node's in another."""
    contenders = await _async_contenders()
    best = dict.fromkeys(contenders, float("inf"))
    beside: list[tuple[float, float]] = []
    for _ in range(turns):
        for name, work in contenders.items():
            best[name] = min(best[name], await _async_loop(work, calls))
        if opossum is not None:
            beside.append(_fired(opossum, calls))
    bare = best.pop(_BARE)
    costs = {name: took - bare for name, took in best.items()}
    if beside:
        fired, awaited = (min(took) for took in zip(*beside, strict=True))
        costs[OPOSSUM] = fired - awaited
    return costs


def _contenders() -> dict[str, Callable[[], object]]:
    other = pybreaker.CircuitBreaker()
    sync = purgatory.SyncCircuitBreakerFactory().get_breaker("x")

    def with_purgatory() -> None:
        with sync:
            _no_op()

    return {
        SOUK: _guarded(BreakerSettings()),
        "  souk, last 60 s": _guarded(BreakerSettings(window=60, by_time=True)),
        "  pybreaker": lambda: other.call(_no_op),
        "  purgatory (sync)": with_purgatory,
        "  bare no-op": _no_op,
    }


async def _async_contenders() -> dict[str, Async]:
    breaker = await purgatory.AsyncCircuitBreakerFactory().get_breaker("x")

    async def with_purgatory() -> None:
        async with breaker:
            await _async_no_op()

    return {
        SOUK_ASYNC: _guarded_async(BreakerSettings()),
        "  purgatory (async)": with_purgatory,
        _BARE: _async_no_op,
    }


def _loop(work: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


async def _async_loop(work: Async, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        await work()
    return (time.perf_counter() - start) / calls


def _fired(folder: Path, calls: int) -> tuple[float, float]:
    """Gives the seconds of a call through opossum, and of the bare await, as a process of node measures them after
    warming up."""
    command = ("node", str(folder / "fire.js"), str(calls))
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    took: dict[str, float] = json.loads(done.stdout)
    return took["fired"] / 1e6, took["bare"] / 1e6


def _no_op() -> None:
    pass


async def _async_no_op() -> None:
    pass


def _guarded(settings: BreakerSettings) -> Callable[[], object]:
    breaker = Breaker(settings)
    now = time.monotonic

    def guarded() -> None:
        start = now()
        permit = breaker.acquire(start)
        assert permit is not None
        _no_op()
        end = now()
        permit.succeed(end, end - start)

    return guarded


def _guarded_async(settings: BreakerSettings) -> Async:
    breaker = Breaker(settings)
    now = time.monotonic

    async def guarded() -> None:
        start = now()
        permit = breaker.acquire(start)
        assert permit is not None
        try:
            await _async_no_op()
        except BaseException:
            permit.fail(now(), now() - start)
            raise
        end = now()
        permit.succeed(end, end - start)

    return guarded
