"""What a breaker costs around a no-op, next to others: `python bench/breaker.py`.

Each is measured in turns with the bare no-op; the table shows the best of the turns, without the
loop. All are closed, in one thread, and succeed.
"""

import time
from collections.abc import Callable

import purgatory
import pybreaker

from souk.resilience.breaker import Breaker, BreakerSettings

CALLS = 50_000
TURNS = 7


def loop(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        work()
    return (time.perf_counter() - start) / CALLS


def no_op() -> None:
    pass


def souk(settings: BreakerSettings) -> Callable[[], object]:
    breaker = Breaker(settings)
    now = time.monotonic

    def guarded() -> None:
        start = now()
        permit = breaker.acquire(start)
        assert permit is not None
        no_op()
        end = now()
        permit.succeed(end, end - start)

    return guarded


def main() -> None:
    other = pybreaker.CircuitBreaker()
    sync = purgatory.SyncCircuitBreakerFactory().get_breaker("x")

    def with_purgatory() -> None:
        with sync:
            no_op()

    contenders = {
        "bare no-op": no_op,
        "souk, last 100 calls": souk(BreakerSettings()),
        "souk, last 60 s": souk(BreakerSettings(window=60, by_time=True)),
        "pybreaker": lambda: other.call(no_op),
        "purgatory (sync)": with_purgatory,
    }
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(TURNS):
        for name, work in contenders.items():
            best[name] = min(best[name], loop(work))
    base = best["souk, last 100 calls"]
    for name, took in best.items():
        print(f"{name:24} {took * 1e6:6.2f} us  {took / base:5.2f} x souk")


if __name__ == "__main__":
    main()
