"""The canaries of the fleet, each decision with its figures, and the forms that steer them, as `souk canary` does."""

from typing import Any

from soukapi.v1 import canary_pb2 as pb

from souk.admin.canaries.documents import ENDED, canary_document, failed_share, standing
from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.kernel.errors import ConfigurationError

ACTIONS = {
    "promote": ("Promote", "gets the place of the baseline"),
    "pause": ("Pause", "keeps its share until it is resumed, and is judged all the same"),
    "resume": ("Resume", "goes on"),
    "abort": ("Abort", "is rolled back: every call goes to the baseline"),
}
"""What an operator can do: its button, and what is said afterwards."""
_POSSIBLE = {
    "planned": ("abort",),
    "starting": ("abort",),
    "stepping": ("promote", "pause", "abort"),
    "holding": ("promote", "pause", "abort"),
    "paused": ("promote", "resume", "abort"),
}
_TONES = {"promoted": "good", "stepping": "good", "rolled back": "bad", "rolling back": "bad", "failed": "bad"}


def canaries_page(control: ControlSocket) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        return _shown(await control.canaries())

    async def act(asked: PageRequest) -> ShownPage:
        service, action, why = (asked.given(name) for name in ("service", "action", "why"))
        if action not in ACTIONS or not service:
            raise PageRefused("the form must name the service of a canary, and what is to become of it")
        if not why:
            raise PageRefused("say why: it is kept with the decision")
        operator = asked.operator.subject
        request = pb.SteerCanaryRequest(service=service, action=action, operator=operator, why=why)
        try:
            steered = await control.steer_canary(request)
        except ConfigurationError as error:
            return _shown(await control.canaries(), str(error), failed=True)
        plan = steered.plan
        return _shown(await control.canaries(), f"{plan.version} of {plan.service} {ACTIONS[action][1]}")

    return ConsolePage("canaries", "Canaries", show, act)


def _shown(found: Any, notice: str = "", *, failed: bool = False) -> ShownPage:
    rows = [_row(one) for one in found]
    values = {"canaries": rows, "actions": ACTIONS, "under_way": sum(not row["ended"] for row in rows)}
    document = {"canaries": [canary_document(one) for one in found]}
    return ShownPage("canaries.html", "Canaries", document, values, notice, failed)


def _row(one: pb.Canary) -> dict[str, Any]:
    return {
        "canary": one,
        "standing": standing(one),
        "tone": _TONES.get(one.state, "warn"),
        "ended": one.state in ENDED,
        "possible": _POSSIBLE.get(one.state, ()),
        "began": one.began.ToMicroseconds(),
        "figures": _figures(one.figures, one.plan.version),
        "rules": [_rule(rule) for rule in one.figures.rules],
        "decisions": [_decision(decision) for decision in reversed(one.decisions)],
    }


def _figures(figures: pb.CanaryFigures, version: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "calls": one.calls, "failed": _share(failed_share(one)), "p99": _p99(one)}
        for name, one in ((version, figures.canary), ("baseline", figures.baseline))
    ]


def _rule(rule: pb.CanaryRuleFigures) -> dict[str, Any]:
    return {
        "rule": rule.rule,
        "canary": _share(rule.canary if rule.HasField("canary") else None),
        "baseline": _share(rule.baseline if rule.HasField("baseline") else None),
        "evidence": rule.evidence,
        "breached": rule.breached,
        "exceeded": rule.exceeded,
        "slow_after": _milliseconds(rule.slow_after) if rule.HasField("slow_after") else "",
    }


def _decision(one: pb.CanaryDecision) -> dict[str, Any]:
    canary, baseline = one.figures.canary, one.figures.baseline
    return {
        "decision": one,
        "at": one.at.ToMicroseconds(),
        "canary": _share(failed_share(canary)),
        "baseline": _share(failed_share(baseline)),
        "calls": canary.calls,
        "p99": _p99(canary),
    }


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"


def _p99(version: pb.CanaryVersionFigures) -> str:
    return _milliseconds(version.p99) if version.HasField("p99") else "–"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
