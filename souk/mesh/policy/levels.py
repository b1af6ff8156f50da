"""What one level of the policy file gives: its defaults, a service, or a method. Each begins with the one above."""

from dataclasses import dataclass, field
from math import inf

from souk.descriptors.contract import Method
from souk.mesh.policy.methods import is_harmless
from souk.mesh.policy.policy import (
    AbortedCalls,
    CallLimits,
    DelayedCalls,
    Ejection,
    Locality,
    MethodRules,
    MirroredCalls,
    TryBudget,
    TryRules,
    VersionSplit,
)

AS_CONTRACTED = inf
"""The time of a level that gives none: that of each method's contract is shorter."""


@dataclass(frozen=True, slots=True)
class Level:
    """The values of a level; times above that of a method's contract stand for the contract's."""

    timeout: float | None = AS_CONTRACTED
    try_timeout: float | None = AS_CONTRACTED
    tries: TryRules | None = field(default_factory=TryRules)
    budget: TryBudget | None = field(default_factory=TryBudget)
    ejection: Ejection | None = field(default_factory=Ejection)
    limits: CallLimits | None = field(default_factory=CallLimits)
    locality: Locality | None = None
    split: VersionSplit | None = None
    mirror: MirroredCalls | None = None
    delay: DelayedCalls | None = None
    abort: AbortedCalls | None = None


def rules_of(method: Method, level: Level) -> MethodRules:
    """Returns the rules of a method on a level: tries only where they are harmless, copies only of what is safe."""
    timeout = _shorter(level.timeout, method.policy.timeout)
    of_a_try = _shorter(level.try_timeout, method.policy.try_timeout)
    harmless = level.tries is not None and level.tries.attempts > 1 and is_harmless(method)
    return MethodRules(
        timeout=timeout,
        try_timeout=timeout if of_a_try is None else _shorter(timeout, of_a_try),
        tries=level.tries if harmless else None,
        limits=level.limits if method.policy.isolated else None,
        split=level.split,
        mirror=level.mirror if method.read_only and method.unary else None,
        delay=level.delay,
        abort=level.abort,
    )


def _shorter(given: float | None, contracted: float) -> float | None:
    return None if given is None else min(given, contracted)
