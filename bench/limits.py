"""Measures rate limits: what ten gateways that share one Valkey let pass in a minute, at several times the limit,
beside the limit itself; how many requests pay a round trip; and a decision in memory beside throttled-py's.
"""

import json
import subprocess
import sys
import timeit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from throttled import RateLimiterType, Throttled, rate_limiter
from throttled.store import MemoryStore

from bench.figures import Figure, Section, below, median, progress
from bench.limited_gateway import Outcome, Plan
from souk.backing.valkey import CACHE, command, find_valkey
from souk.descriptors.contract import RateClass
from souk.gateway.limits.gcra import Rate
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policy import CountedBy, LimitPolicy
from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.testing.system import until

GATEWAYS = 10
_START = 8.0
"""Seconds that all gateways get to start before the first request."""
_DECISIONS = 20_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """`callers`, of whom each may send `count` requests a minute, `burst` at once; together they send `rate` a second.

    `spread` means that each of them uses every gateway, and not one alone.
    """

    name: str
    callers: int
    count: int
    burst: int
    rate: float
    spread: bool

    def admits(self, seconds: float) -> float:
        """Gives how many requests the limits admit in so many seconds, from full bursts on."""
        return self.callers * (self.burst + self.count * seconds / 60)


SCENARIOS = (
    Scenario("one caller over all gateways, at 5 times the limit", 1, 6_000, 100, 500.0, spread=True),
    Scenario("100 callers over all gateways, at 3 times the limit", 100, 120, 20, 600.0, spread=True),
    Scenario("100 callers, each at one gateway, at half the limit", 100, 1_200, 300, 1_000.0, spread=False),
)


def measure(folder: Path, *, seconds: float, rounds: int) -> Section:
    """Runs every scenario for `seconds`, and the decisions in memory in turns."""
    section = Section("limits")
    for number, scenario in enumerate(SCENARIOS):
        progress(f"limits: {scenario.name}")
        with _valkey(folder / f"valkey-{number}") as url:
            outcomes = _gateways(scenario, url, seconds)
        section.details[scenario.name] = [asdict(one) for one in outcomes]
        _report(section, scenario, outcomes, seconds)
    _decisions(section, rounds)
    return section


@contextmanager
def _valkey(folder: Path) -> Iterator[str]:
    folder.mkdir()
    socket = folder.resolve() / "v.sock"
    with (folder / "log").open("ab") as log:
        words = command(find_valkey(), folder, socket, CACHE).words
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
    try:
        until(socket.exists, 20.0, "valkey listens")
        yield f"unix://{socket}"
    finally:
        process.terminate()
        process.wait()


def _gateways(scenario: Scenario, url: str, seconds: float) -> list[Outcome]:
    callers = tuple(f"U-{number}" for number in range(scenario.callers))
    start = SystemClock().now() + int(_START * MICROSECONDS)
    rate = scenario.rate / GATEWAYS
    plan = Plan(url, callers, rate, start, seconds, scenario.count, 60.0, scenario.burst)
    processes = []
    for number in range(GATEWAYS):
        # Every gateway begins with another caller, so that they do not all meet at the same one.
        own = callers[number::GATEWAYS] if not scenario.spread else callers[number:] + callers[:number]
        process = subprocess.Popen(
            (sys.executable, "-m", "bench.limited_gateway"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(replace(plan, callers=own))))
        process.stdin.close()
        processes.append(process)
    return [_outcome(process) for process in processes]


def _outcome(process: "subprocess.Popen[str]") -> Outcome:
    assert process.stdout is not None
    with process.stdout as stream:
        text = stream.read()
    if process.wait():
        raise RuntimeError("a gateway of the limits failed")
    return Outcome(**json.loads(text))


def _report(section: Section, scenario: Scenario, outcomes: Sequence[Outcome], seconds: float) -> None:
    admitted = sum(one.admitted for one in outcomes)
    limit = min(scenario.admits(seconds), scenario.rate * seconds)
    ratio = admitted / limit
    offered = sum(one.offered for one in outcomes)
    section.add(
        Figure(f"limits: {scenario.name}", admitted, "admitted", f"{limit:,.0f} by the limit", ratio)
        if limit == scenario.rate * seconds
        else Figure(
            f"limits: {scenario.name}",
            admitted,
            "admitted",
            f"{limit:,.0f} by the limit",
            ratio,
            **below(1.01, ratio, "1 % beyond"),
        ),
        Figure("  requests that waited for Valkey", 100 * sum(one.waited for one in outcomes) / offered, "%"),
        Figure("  exchanges with Valkey", 100 * sum(one.round_trips for one in outcomes) / offered, "% of requests"),
    )
    if any(one.away for one in outcomes):
        section.notes.append(f"limits: {scenario.name}: a gateway did without Valkey for a while: not a measurement")


def _decisions(section: Section, rounds: int) -> None:
    progress("limits: decisions in memory")
    policy = LimitPolicy("one", Rate(1_000, 60.0), CountedBy.CALLER, frozenset({RateClass.READ}))
    quotas, wanted = MemoryQuotas(SystemClock()), [(policy, "u:U-1")]
    quota = rate_limiter.per_min(1_000, burst=1_000)
    peer = Throttled(key="U-1", using=RateLimiterType.GCRA.value, quota=quota, store=MemoryStore())
    found = [(_microseconds(lambda: quotas.take(wanted)), _microseconds(peer.limit)) for _ in range(rounds)]
    ours, theirs = (median(column) for column in zip(*found, strict=True))
    section.add(Figure("limits: a decision in memory", ours, "us", "throttled-py's GCRA", ours / theirs))


def _microseconds(decide: Callable[[], object]) -> float:
    return timeit.timeit(decide, number=_DECISIONS) / _DECISIONS * MICROSECONDS
