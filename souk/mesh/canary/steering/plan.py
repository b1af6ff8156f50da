"""The plan of a canary: which shares it gets, for how long each, and on which rules it is rolled back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from souk.kernel.errors import ConfigurationError
from souk.mesh.canary.judging.rules import AbortRule, parse_rule
from souk.mesh.canary.release import CanaryRelease, CanaryShare
from souk.rpc.metadata import TESTER, tester_releases

STEPS = (1.0, 5.0, 25.0, 50.0, 100.0)
EVERY = 30.0
"""Seconds of a step at least."""
RULES = ("failures>1%", "p99>1.5x")
LEAST_CALLS = 100
"""Calls of the version that a step needs at least; a rule may need more."""
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_MOST_INSTANCES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPlan:
    """What is released, and how. `steps` are percent; `every` is in seconds. With `mirrored`, the first step gives the
    version copies of the calls that the contract calls safe."""

    release: CanaryRelease
    steps: tuple[float, ...] = STEPS
    every: float = EVERY
    rules: tuple[AbortRule, ...] = tuple(parse_rule(text) for text in RULES)
    least_calls: int = LEAST_CALLS
    mirrored: bool = False

    @property
    def shares(self) -> tuple[CanaryShare, ...]:
        """The shares that the version gets, one after the other."""
        mirrored = (CanaryShare(0, mirrored=True),) if self.mirrored else ()
        return (*mirrored, *(CanaryShare(percent) for percent in self.steps))


def checked_plan(plan: CanaryPlan) -> CanaryPlan:
    """Returns a plan that can be carried out. Raises ConfigurationError, in one line, for another."""
    release = plan.release
    if not _VERSION.fullmatch(release.version):
        raise ConfigurationError(
            f"{release.version!r} is no name of a version: letters, digits, '.', '_' and '-', 40 at most, as v2"
        )
    if not 1 <= release.instances <= _MOST_INSTANCES:
        raise ConfigurationError(f"a canary has 1 to {_MOST_INSTANCES} instances, not {release.instances}")
    if release.header is not None and not _HEADER.fullmatch(release.header[0]):
        raise ConfigurationError(f"{release.header[0]!r} is no name of a header: write --header x-tester=1")
    if release.header is not None and release.header[0].lower() == TESTER and not tester_releases(release.header[1]):
        raise ConfigurationError(
            f"{release.header[1]!r} is no mark of a tester: letters, digits, '.', '_' and '-', 40 at most, as ann-1"
        )
    _require_steps(plan.steps)
    if not plan.every >= 1:
        raise ConfigurationError(f"a step takes 1 s at least, not {plan.every:g} s; write --every 30s")
    if plan.least_calls < 1:
        raise ConfigurationError("a step needs one call at least: without calls nothing can be judged")
    if not plan.rules:
        raise ConfigurationError("a canary without a rule would pass whatever it does; add --abort-on 'failures>1%'")
    if len({rule.text for rule in plan.rules}) < len(plan.rules):
        raise ConfigurationError("a rule is given twice")
    return plan


def _require_steps(steps: Sequence[float]) -> None:
    if not steps or not all(0 < step <= 100 for step in steps):
        raise ConfigurationError("a step is a percent of the calls, above 0 and up to 100, as in 1,5,25,50,100")
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise ConfigurationError("each step is larger than the one before, as in 1,5,25,50,100")
