"""Simulates canaries that are judged each second, to count false alarms and how soon a bad version is found.

python -m tests.mesh.canary.simulation [RUNS]      prints the table of docs/mesh.md
"""

import random
import sys
from dataclasses import dataclass
from statistics import median

from souk.mesh.canary.judging.judge import CanaryJudge
from souk.mesh.canary.judging.rules import parse_rule
from souk.mesh.canary.tally import Tally, bucket_of

POOL = 20_000
MEDIAN, SPREAD = 0.02, 0.6
"""Of the durations of a call, in seconds: log-normal, with a 99th percentile of 81 ms."""


@dataclass(frozen=True)
class Behaviour:
    """What a version does: the share of calls that fail, and how many calls take how many times as long."""

    failures: float = 0.005
    slow: float = 0.0
    times: float = 1.0


@dataclass(frozen=True)
class Scenario:
    """`calls` a second to the service, of which `share` go to the canary. Every `wave` seconds, both fail ten times as
    often for a tenth of that time: a dependency has an outage."""

    name: str
    rules: tuple[str, ...]
    canary: Behaviour = Behaviour()
    baseline: Behaviour = Behaviour()
    calls: int = 100
    share: float = 0.25
    seconds: int = 300
    wave: int = 0


@dataclass(frozen=True)
class Verdict:
    """The second in which the canary was rolled back, None if it never was, and the calls that it had had."""

    second: int | None
    calls: int
    failures: int


class _Version:
    def __init__(self, behaviour: Behaviour, chance: random.Random) -> None:
        self._behaviour, self._chance = behaviour, chance
        self._pool = [self._duration() for _ in range(POOL)]

    def _duration(self) -> int:
        times = self._behaviour.times if self._chance.random() < self._behaviour.slow else 1.0
        return bucket_of(MEDIAN * self._chance.lognormvariate(0, SPREAD) * times)

    def window(self, calls: int, worse: float) -> Tally:
        share = min(1.0, self._behaviour.failures * worse)
        made = Tally(calls, sum(self._chance.random() < share for _ in range(calls)))
        made.durations.update(self._chance.choices(self._pool, k=calls))
        return made


def simulate(scenario: Scenario, runs: int, seed: int = 1) -> list[Verdict]:
    """Judges `runs` canaries, each second of each."""
    chance = random.Random(seed)
    canary, baseline = _Version(scenario.canary, chance), _Version(scenario.baseline, chance)
    return [_run(scenario, canary, baseline, chance) for _ in range(runs)]


def _run(scenario: Scenario, canary: _Version, baseline: _Version, chance: random.Random) -> Verdict:
    judge = CanaryJudge([parse_rule(rule) for rule in scenario.rules])
    for second in range(scenario.seconds):
        mine = sum(chance.random() < scenario.share for _ in range(scenario.calls))
        outage = scenario.wave and second % scenario.wave < scenario.wave / 10
        worse = 10.0 if outage else 1.0
        judge.add(canary.window(mine, worse), baseline.window(scenario.calls - mine, worse), alone=scenario.share >= 1)
        if judge.breaches():
            return Verdict(second + 1, judge.canary.calls, judge.canary.failures)
    return Verdict(None, judge.canary.calls, judge.canary.failures)


BOTH = ("failures>1%", "p99>1.5x")
FIVE = Behaviour(failures=0.05)
SLOW = Behaviour(slow=0.05, times=5)
GOOD = (
    Scenario("equal, half of the limit", BOTH),
    Scenario("equal, half of the limit, share 1%", BOTH, share=0.01),
    Scenario("exactly at the limit", ("failures>1%",), Behaviour(0.01), Behaviour(0.005)),
    Scenario("exactly 1.5 times the baseline", ("failures>1.5x",), Behaviour(0.015), Behaviour(0.01)),
    Scenario("p99 exactly 1.5 times", ("p99>1.5x",), Behaviour(slow=1.0, times=1.5)),
    Scenario("both fail 5%", BOTH, FIVE, FIVE),
    Scenario("both have outages of 50% now and then", BOTH, FIVE, FIVE, wave=60),
    Scenario("equal, every call to the canary", BOTH, share=1.0),
)
BAD = (
    Scenario("5% fail, share 1%", BOTH, FIVE, share=0.01, seconds=900),
    Scenario("5% fail, share 5%", BOTH, FIVE, share=0.05),
    Scenario("5% fail, share 25%", BOTH, FIVE),
    Scenario("2% fail, share 25%", BOTH, Behaviour(0.02)),
    Scenario("every call fails, share 1%", BOTH, Behaviour(1.0), share=0.01),
    Scenario("5% of calls 5 times as slow, share 5%", BOTH, SLOW, share=0.05),
    Scenario("5% of calls 5 times as slow, share 25%", BOTH, SLOW),
    Scenario("all calls twice as slow, share 25%", BOTH, Behaviour(slow=1.0, times=2)),
    Scenario("5% fail, every call to the canary", BOTH, FIVE, share=1.0),
)


def main(runs: int) -> None:
    """Prints the table as Markdown."""
    print("| 100 calls a second | rules | rolled back | median seconds | median calls | failed of these |")
    print("|---|---|---|---|---|---|")
    for scenario in (*GOOD, *BAD):
        verdicts = simulate(scenario, runs)
        found = [one for one in verdicts if one.second is not None]
        figures = ("–", "–", "–")
        if found:
            seconds = median(one.second or 0 for one in found)
            calls, failures = median(one.calls for one in found), median(one.failures for one in found)
            figures = (f"{seconds:.0f}", f"{calls:.0f}", f"{failures:.0f}")
        rules = ", ".join(scenario.rules)
        print(f"| {scenario.name} | {rules} | {len(found) / runs:.1%} of {runs} | {' | '.join(figures)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
