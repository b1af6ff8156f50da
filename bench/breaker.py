"""What a breaker costs around a no-op, next to others.

Each is measured in turns with the bare no-op; the table shows the best of the turns, the loop
included. All are closed, in one thread, and succeed.
"""

import time
from collections.abc import Callable

import purgatory
import pybreaker

from bench.figures import Figure, Section, progress
from souk.resilience.breaker import Breaker, BreakerSettings

SOUK = "breaker: souk, last 100 calls"


def measure(*, calls: int, turns: int = 7) -> Section:
    """A line for each; the ratio says how much more souk's costs."""
    progress("breaker: turns with others")
    contenders = _contenders()
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(turns):
        for name, work in contenders.items():
            best[name] = min(best[name], _loop(work, calls))
    section = Section("breaker")
    for name, took in best.items():
        ratio = None if name == SOUK else best[SOUK] / took
        section.add(Figure(name, took * 1e6, "us", "" if ratio is None else "souk, last 100 calls", ratio))
    return section


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


def _loop(work: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def _no_op() -> None:
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
