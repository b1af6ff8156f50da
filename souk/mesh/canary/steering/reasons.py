"""Sentences about shares, rules and steps, for operators."""

from souk.mesh.canary.judging.judge import RuleFigures
from souk.mesh.canary.release import CanaryShare
from souk.mesh.canary.steering.record import CanaryRecord


def share_text(share: CanaryShare) -> str:
    """Says what a version gets."""
    return "copies of the calls" if share.mirrored else f"{share.percent:g}% of the calls"


def advanced(record: CanaryRecord) -> str:
    """Says why a step is over, and which follows."""
    following = record.plan.shares[record.step + 1]
    return f"no rule was breached with {share_text(record.share)}; now it gets {share_text(following)}"


def breach_text(rule: RuleFigures, calls: int) -> str:
    """Says how a rule is breached."""
    return f"{rule.rule}: {_comparison(rule)} in {calls} calls"


def hold_text(rule: RuleFigures) -> str:
    """Says that a rule may be breached, which is not proved."""
    return f"{rule.rule}: {_comparison(rule)}, which is not proved yet ({min(rule.evidence, 1):.0%} of the evidence)"


def _comparison(rule: RuleFigures) -> str:
    mine = f"{rule.canary or 0:.2%}"
    baseline = "" if rule.baseline is None else f"{rule.baseline:.2%} of the baseline's"
    if rule.slow_after is None:
        return f"{mine} failed" + (f", {baseline}" if baseline else "")
    quantile, _, limit = rule.rule.partition(">")
    after = f"{mine} took longer than {_milliseconds(rule.slow_after)}"
    if not limit.endswith("x"):
        return after + (f", {baseline}" if baseline else "")
    return f"{after}, {limit} the baseline's {quantile}" + (
        f", and {baseline} longer than that {quantile}" if baseline else ""
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
