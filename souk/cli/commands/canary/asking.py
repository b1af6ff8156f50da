"""What the commands about canaries have in common: how they ask the control plane, and how they print a canary."""

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click
from soukapi.v1 import canary_pb2 as pb
from soukapi.v1 import canary_pb2_grpc

from souk.admin.canaries.client import operating_canaries
from souk.admin.canaries.documents import canary_document, failed_share, standing
from souk.cli.operating import operate_by
from souk.cli.output.tables import Row, plain
from souk.kernel.clock import to_datetime

PATIENCE = 30.0
"""Seconds for the control plane to answer."""
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
_COLOURS = {
    "promoted": "green",
    "stepping": "green",
    "promoting": "green",
    "holding": "yellow",
    "paused": "yellow",
    "starting": "yellow",
    "rolling back": "red",
    "rolled back": "red",
    "failed": "red",
}
_COLUMNS, _RULES = ("version", "calls", "failed", "p99"), ("rule", "canary", "baseline", "evidence", "note")
_DECISIONS = ("at", "decision", "share", "why")

T = TypeVar("T")


def ask_canaries(data: Path | None, ask: "Callable[[canary_pb2_grpc.CanariesAsyncStub], Awaitable[T]]") -> T:
    """Runs `ask` against the control plane of the fleet on a data directory; returns its result.

    Raises ConfigurationError when no fleet with a mesh runs there, or when it refuses the call.
    """
    return operate_by(operating_canaries, data, ask)


def echo(canary: pb.Canary, *, as_json: bool) -> None:
    """Prints where a canary stands: in a line, or as a JSON document."""
    if as_json:
        click.echo(json.dumps(canary_document(canary), indent=2))
    else:
        click.echo(headline(canary))


def headline(canary: pb.Canary) -> str:
    """Gives the line that says where a canary stands."""
    state = click.style(standing(canary), fg=_COLOURS.get(canary.state))
    return f"{canary.plan.service} {canary.plan.version}: {state}"


def lines(canary: pb.Canary) -> Iterator[str]:
    """Gives all lines about a canary: where it stands, the figures of its step, its rules, and each decision."""
    yield headline(canary)
    if canary.trouble:
        yield click.style(f"it cannot go on: {canary.trouble}", fg="red")
    figures = canary.figures
    versions = ((canary.plan.version, figures.canary), ("baseline", figures.baseline))
    yield ""
    yield from plain(_COLUMNS, [_version(name, one) for name, one in versions], frozenset(_COLUMNS[1:]))
    yield ""
    yield from plain(_RULES, [_rule(one) for one in figures.rules], frozenset(_RULES[1:4]))
    yield ""
    yield from plain(_DECISIONS, [_decision(one) for one in canary.decisions], frozenset({"share"}))


def _version(name: str, version: pb.CanaryVersionFigures) -> Row:
    p99 = f"{version.p99 * 1000:.3g} ms" if version.HasField("p99") else "–"
    return {"version": name, "calls": str(version.calls), "failed": _share(failed_share(version)), "p99": p99}


def _rule(rule: pb.CanaryRuleFigures) -> Row:
    note = "breached" if rule.breached else "over the limit, not proved" if rule.exceeded else ""
    return {
        "rule": rule.rule,
        "canary": _share(rule.canary if rule.HasField("canary") else None),
        "baseline": _share(rule.baseline if rule.HasField("baseline") else None),
        "evidence": f"{rule.evidence:.0%}",
        "note": note + (f" (slow: longer than {rule.slow_after * 1000:.3g} ms)" if rule.HasField("slow_after") else ""),
    }


def _decision(one: pb.CanaryDecision) -> Row:
    again = f" ({one.times} times)" if one.times > 1 else ""
    who = f" [{one.operator}]" if one.operator else ""
    return {
        "at": to_datetime(one.at.ToMicroseconds()).astimezone().strftime("%H:%M:%S"),
        "decision": one.event,
        "share": f"{one.percent:g}%",
        "why": f"{one.why}{again}{who}",
    }


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"
