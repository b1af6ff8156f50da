"""Evidence that stays valid however often it is asked: likelihood ratios that are multiplied, window after window.

Each ratio is worth 1 at most on average as long as the version keeps the limit. So the probability that their product
ever reaches 100 is 1% at most, whenever and however often it is looked at (Ville's inequality; Wald's SPRT, Robbins'
mixtures, e-processes). A product is kept for each of some alternatives, and the evidence is their mean.

Against a limit, a call counts by what it is worth under each alternative. Against the baseline, a window counts by how
its failures fell on the two versions, given how many there were of both and how many calls each had (Fisher's
conditional distribution). The share of failures itself, which may change from window to window, does not matter: what
both suffer together is no evidence.
"""

from collections.abc import Iterable, Sequence
from math import exp, inf, lgamma, log

ALTERNATIVES = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
"""How many times the odds of the limit are, under each alternative."""
NOTHING = (0.0,) * len(ALTERNATIVES)
"""No evidence yet: the logarithms of the products."""

Evidence = tuple[float, ...]


def strength(evidence: Sequence[float]) -> float:
    """Gives the logarithm of the evidence."""
    highest = max(evidence)
    return highest + log(sum(exp(one - highest) for one in evidence) / len(evidence))


def both(first: Evidence, second: Evidence) -> Evidence:
    """Multiplies what two windows say."""
    return tuple(one + other for one, other in zip(first, second, strict=True))


def against_limit(limit: float, calls: int, events: int) -> Evidence:
    """Says how `events` among `calls` speak against a share of `limit` (above 0, below 1) or less."""
    return tuple(_tilted(limit, times, calls, events) for times in ALTERNATIVES)


def _tilted(limit: float, times: float, calls: int, events: int) -> float:
    scale = 1 - limit + limit * times
    return events * log(times) - calls * log(scale)


def against_baseline(odds: float, canary: tuple[int, int], baseline: tuple[int, int]) -> Evidence:
    """Says how the (calls, events) of a window speak against a canary whose odds are `odds` times the baseline's."""
    (calls, events), (others, other_events) = canary, baseline
    total = events + other_events
    possible = range(max(0, total - others), min(total, calls) + 1)
    if len(possible) < 2:
        return NOTHING
    ways = [_log_choose(calls, each) + _log_choose(others, total - each) for each in possible]
    expected = _log_sum(way + each * log(odds) for way, each in zip(ways, possible, strict=True))
    return tuple(
        events * log(times)
        + expected
        - _log_sum(way + each * log(odds * times) for way, each in zip(ways, possible, strict=True))
        for times in ALTERNATIVES
    )


def _log_choose(many: int, some: int) -> float:
    return lgamma(many + 1) - lgamma(some + 1) - lgamma(many - some + 1)


def _log_sum(logs: Iterable[float]) -> float:
    found = list(logs)
    highest = max(found, default=-inf)
    return highest + log(sum(exp(one - highest) for one in found))
