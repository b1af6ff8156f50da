"""The record of a canary: its plan, where it stands, the evidence so far, and each decision with its figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from souk.mesh.canary.judging.judge import RuleEvidence, RuleFigures
from souk.mesh.canary.release import CanaryShare
from souk.mesh.canary.steering.plan import CanaryPlan
from souk.mesh.canary.steering.states import CANARY, FINAL, SHARING, CanaryEvent, CanaryState

MOST_DECISIONS = 200
"""Decisions that are kept, the newest; repeated holds of one step for one reason are one."""


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """What a version did in a step; `p99` is in seconds, None without calls."""

    calls: int = 0
    failures: int = 0
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class StepFigures:
    """What both versions did in a step, and how far each rule is from a breach."""

    canary: VersionFigures = VersionFigures()
    baseline: VersionFigures = VersionFigures()
    rules: tuple[RuleFigures, ...] = ()


@dataclass(frozen=True, slots=True)
class CanaryDecision:
    """A decision: when (microseconds since 1970), what, why in a sentence, who if it was an operator, and the figures
    of the step that it rests on. `times` counts a hold that was repeated."""

    at: int
    event: CanaryEvent
    percent: float
    why: str
    operator: str = ""
    figures: StepFigures = StepFigures()
    times: int = 1


@dataclass(frozen=True, slots=True)
class CanaryRecord:
    """One canary. `step` is the index of its share; `began` and `step_began` are microseconds since 1970.

    `used` says whether the version has been given calls, `operator` who began it.
    """

    plan: CanaryPlan
    began: int
    step_began: int
    state: CanaryState = CanaryState.PLANNED
    step: int = 0
    used: bool = False
    operator: str = ""
    decisions: tuple[CanaryDecision, ...] = ()
    evidence: Mapping[str, RuleEvidence] = field(default_factory=dict)

    @property
    def share(self) -> CanaryShare:
        """What the version gets of the calls; nothing before its first step, and everything once it is promoted."""
        if self.state in SHARING:
            return self.plan.shares[self.step]
        return CanaryShare(100 if self.state in (CanaryState.PROMOTING, CanaryState.PROMOTED) else 0)

    @property
    def is_held(self) -> bool:
        """Whether the last decision was to hold."""
        return bool(self.decisions) and self.decisions[-1].event is CanaryEvent.HELD

    @property
    def is_last_step(self) -> bool:
        """Whether no larger share follows."""
        return self.step + 1 == len(self.plan.shares)

    def forgetting_values(self) -> "CanaryRecord":
        """Gives the record; one of a canary that has ended without the values of its settings, which may be secrets."""
        settings = dict.fromkeys(self.plan.release.settings, "")
        if self.state not in FINAL or settings == self.plan.release.settings:
            return self
        return replace(self, plan=replace(self.plan, release=replace(self.plan.release, settings=settings)))

    def after(self, decision: CanaryDecision) -> "CanaryRecord":
        """Gives the record after a decision. Raises IllegalTransition if it is not possible in this state."""
        event = decision.event
        state = CANARY.next(self.state, event)
        changed = replace(self, state=state, decisions=_added(self.decisions, decision)).forgetting_values()
        if event is CanaryEvent.ADVANCED:
            return replace(changed, step=self.step + 1, step_began=decision.at)
        if event in (CanaryEvent.READY, CanaryEvent.RESUME):
            return replace(changed, used=True, step_began=decision.at)
        return changed


def _added(decisions: tuple[CanaryDecision, ...], new: CanaryDecision) -> tuple[CanaryDecision, ...]:
    last = decisions[-1] if decisions else None
    if last is not None and last.event is new.event is CanaryEvent.HELD and last.percent == new.percent:
        return (*decisions[:-1], replace(new, times=last.times + 1))
    return (*decisions, new)[-MOST_DECISIONS:]
