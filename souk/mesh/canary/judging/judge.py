"""Judges a version beside its baseline: what both did over the same time, window by window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log

from souk.mesh.canary.judging.evidence import NOTHING, Evidence, against_baseline, against_limit, both, strength
from souk.mesh.canary.judging.rules import AbortRule, RuleLimit
from souk.mesh.canary.tally import Tally, bucket_of, upper_bound

FALSE_ALARMS = 0.01
"""The highest probability that a version which keeps every rule is ever rolled back by one."""
QUANTILE_CALLS = 200
"""Calls of the baseline, of windows before, from which a quantile of it is taken, at least."""
_UNSURE = 3
"""Events that are added to those of the baseline when it is not there any more to compare with."""


@dataclass(frozen=True, slots=True)
class CallCounts:
    """Calls and events (failures, or slow calls) of the canary, and of the baseline, the others."""

    calls: int = 0
    events: int = 0
    others: int = 0
    other_events: int = 0

    def plus(self, other: "CallCounts") -> "CallCounts":
        """Gives both together."""
        return CallCounts(
            self.calls + other.calls,
            self.events + other.events,
            self.others + other.others,
            self.other_events + other.other_events,
        )


@dataclass(frozen=True, slots=True)
class RuleEvidence:
    """What speaks for a breach of one rule: that the limit is passed, that the baseline does better, and the first
    while there was no baseline. `alone_limit` is the limit then.

    `counts` are those of the whole canary, and `quantile` is the bucket of the baseline's quantile, once it is known.
    """

    limit: Evidence = NOTHING
    baseline: Evidence = NOTHING
    alone: Evidence = NOTHING
    alone_limit: float | None = None
    counts: CallCounts = CallCounts()
    quantile: int | None = None


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """A rule with its figures of a step: shares of calls that failed, or were slow, and the evidence for a breach as a
    share of what is needed. `slow_after` is in seconds; None for failures. A share is None without calls."""

    rule: str
    canary: float | None
    baseline: float | None
    evidence: float
    breached: bool
    exceeded: bool
    slow_after: float | None = None


@dataclass(slots=True)
class _RuleState:
    rule: AbortRule
    evidence: RuleEvidence
    step: CallCounts = CallCounts()
    slow_after: int | None = None


class CanaryJudge:
    """Judges one canary by its rules. `before` is the evidence from before a restart, by the text of the rule."""

    def __init__(self, rules: Sequence[AbortRule], before: Mapping[str, RuleEvidence] | None = None) -> None:
        known = before or {}
        self._states = [_RuleState(rule, known.get(rule.text, RuleEvidence())) for rule in rules]
        self._needed = log(len(rules) / FALSE_ALARMS) if rules else 0.0
        self._learnt = Tally()
        self.canary, self.baseline = Tally(), Tally()

    @property
    def evidence(self) -> Mapping[str, RuleEvidence]:
        """What is to be kept over a restart, by the text of the rule."""
        return {one.rule.text: one.evidence for one in self._states}

    def begin_step(self) -> None:
        """Counts a step from nothing; the evidence stays."""
        self.canary, self.baseline = Tally(), Tally()
        for one in self._states:
            one.step = CallCounts()

    def add(self, canary: Tally, baseline: Tally, *, alone: bool = False) -> None:
        """Takes what both did in one window. `alone` says that every call goes to the canary."""
        self.canary, self.baseline = self.canary.plus(canary), self.baseline.plus(baseline)
        for one in self._states:
            counted = self._counted(one, canary, baseline)
            if counted is not None:
                one.evidence = _grown(one, counted, alone)
                one.step = one.step.plus(counted)
        # A quantile is known before the calls that are compared with it.
        self._learnt = self._learnt.plus(baseline)

    def figures(self) -> tuple[RuleFigures, ...]:
        """Gives each rule with its figures of the step so far."""
        return tuple(self._figures(one) for one in self._states)

    def breaches(self) -> tuple[RuleFigures, ...]:
        """Gives the rules that are breached."""
        return tuple(one for one in self.figures() if one.breached)

    def missing(self, least: int, *, alone: bool) -> str:
        """Says which calls the step still needs to be judged; empty when there are enough."""
        wanted = max([least, *(one.rule.least_calls for one in self._states)])
        if self.canary.calls < wanted:
            return f"{self.canary.calls} calls of the canary, and {wanted} are needed"
        if not alone and self._states and self.baseline.calls < wanted:
            return f"{self.baseline.calls} calls of the baseline, and {wanted} are needed to compare with"
        for one in self._states:
            if one.rule.quantile is not None and one.step.calls < one.rule.least_calls:
                return f"{one.step.calls} calls since the baseline's {_name(one.rule)} is known; {wanted} are needed"
        return ""

    def _counted(self, state: _RuleState, canary: Tally, baseline: Tally) -> CallCounts | None:
        rule = state.rule
        if rule.quantile is None:
            return CallCounts(canary.calls, canary.failures, baseline.calls, baseline.failures)
        if rule.kind is RuleLimit.SECONDS:
            mine = others = bucket_of(rule.limit)
        else:
            if self._learnt.calls >= max(QUANTILE_CALLS, 2 * rule.least_calls):
                state.evidence = replace(state.evidence, quantile=self._learnt.quantile_bucket(rule.quantile))
            if state.evidence.quantile is None:
                return None
            others = state.evidence.quantile
            mine = bucket_of(upper_bound(others) * rule.limit)
        state.slow_after = mine
        return CallCounts(canary.calls, canary.slower_than(mine), baseline.calls, baseline.slower_than(others))

    def _figures(self, state: _RuleState) -> RuleFigures:
        step, rule = state.step, state.rule
        mine = step.events / step.calls if step.calls else None
        other = step.other_events / step.others if step.others else None
        exceeded = mine is not None and mine > _bound(state, other)
        share = _weight(state.evidence, rule) / self._needed
        slow_after = None if state.slow_after is None else upper_bound(state.slow_after)
        breached = share >= 1 and _worse_in_all(state)
        return RuleFigures(rule.text, mine, other, max(0.0, share), breached, exceeded, slow_after)


def _bound(state: _RuleState, other: float | None) -> float:
    """The share that a canary may have: that of the rule, or so many times the baseline's."""
    if state.rule.allowed is not None:
        return state.rule.allowed
    if other is None:
        return state.evidence.alone_limit or 1.0
    return min(1.0, other * _times(state.rule))


def _worse_in_all(state: _RuleState) -> bool:
    """Whether the shares of the whole canary are so many times apart, too: odds are further apart than large shares."""
    known, times = state.evidence.counts, _times(state.rule)
    return times == 1 or not known.others or known.events * known.others > times * known.other_events * known.calls


def _times(rule: AbortRule) -> float:
    """How many times the baseline's share is allowed. The times of a quantile are in the durations compared."""
    return rule.limit if rule.kind is RuleLimit.TIMES and rule.quantile is None else 1.0


def _grown(state: _RuleState, counted: CallCounts, alone: bool) -> RuleEvidence:
    rule, known = state.rule, replace(state.evidence, counts=state.evidence.counts.plus(counted))
    if alone:
        limit = known.alone_limit or _limit_alone(state)
        if limit is None:
            return known
        grown = both(known.alone, against_limit(limit, counted.calls, counted.events))
        return replace(known, alone=grown, alone_limit=limit)
    mine, others = (counted.calls, counted.events), (counted.others, counted.other_events)
    known = replace(known, baseline=both(known.baseline, against_baseline(_times(rule), mine, others)))
    if rule.allowed is None:
        return known
    return replace(known, limit=both(known.limit, against_limit(rule.allowed, *mine)))


def _limit_alone(state: _RuleState) -> float | None:
    """What the version may do without a baseline: what the rule says, or what the baseline did in the steps before."""
    if state.rule.allowed is not None:
        return state.rule.allowed
    known = state.evidence.counts
    if known.others < state.rule.least_calls:
        return None
    limit = _times(state.rule) * (known.other_events + _UNSURE) / known.others
    return limit if limit < 1 else None


def _weight(evidence: RuleEvidence, rule: AbortRule) -> float:
    beside = strength(evidence.baseline)
    if rule.allowed is not None:
        beside = min(beside, strength(evidence.limit))
    return max(beside, strength(evidence.alone))


def _name(rule: AbortRule) -> str:
    return rule.text.partition(">")[0]
