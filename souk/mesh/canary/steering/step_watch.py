"""Watches a canary in its step: reads the tallies, window by window, and asks the judge."""

from souk.mesh.canary.judging.judge import CanaryJudge, RuleFigures
from souk.mesh.canary.ports import CanaryObservations
from souk.mesh.canary.release import CanaryShare
from souk.mesh.canary.steering.reasons import breach_text, hold_text
from souk.mesh.canary.steering.record import CanaryRecord, StepFigures, VersionFigures
from souk.mesh.canary.tally import Tally

_SHOWN = 0.99
_ALL = 100.0


class StepWatch:
    """Watches one canary, from its record on. Only calls that are reported from now on count."""

    def __init__(self, record: CanaryRecord, observations: CanaryObservations) -> None:
        plan = record.plan
        self.judge = CanaryJudge(plan.rules, record.evidence)
        self._service, self._version = plan.release.service, plan.release.version
        self._observations = observations
        self._canary, self._baseline = self._read()

    def observe(self, share: CanaryShare) -> None:
        """Takes what was reported since the last time, while the version had this share."""
        canary, baseline = self._read()
        window = canary.since(self._canary), baseline.since(self._baseline)
        self._canary, self._baseline = canary, baseline
        self.judge.add(*window, alone=is_alone(share))

    def begin_step(self) -> None:
        """Counts a step from nothing."""
        self.judge.begin_step()

    def figures(self) -> StepFigures:
        """Gives what both versions did in the step so far."""
        judge = self.judge
        return StepFigures(_figures(judge.canary), _figures(judge.baseline), judge.figures())

    def hold(self, record: CanaryRecord) -> str:
        """Says why the next step may not begin; empty if it may."""
        judge = self.judge
        if missing := judge.missing(record.plan.least_calls, alone=is_alone(record.share)):
            return missing
        return "; ".join(hold_text(one) for one in judge.figures() if one.exceeded)

    def breach_text(self, rule: RuleFigures) -> str:
        """Says how a rule is breached."""
        return breach_text(rule, self.judge.canary.calls)

    def _read(self) -> tuple[Tally, Tally]:
        canary, baseline = Tally(), Tally()
        for version, tally in self._observations.tallies(self._service).items():
            if version == self._version:
                canary = tally.copy()
            else:
                baseline = baseline.plus(tally)
        return canary, baseline


def is_alone(share: CanaryShare) -> bool:
    """Tells whether no call goes to the baseline, to compare with."""
    return share.percent >= _ALL


def _figures(tally: Tally) -> VersionFigures:
    return VersionFigures(tally.calls, tally.failures, tally.quantile(_SHOWN) if tally.calls else None)
