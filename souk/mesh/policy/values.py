"""Reads the values of a level of the policy file from its nodes; each begins with the value of the level above."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import grpc
import yaml

from souk.gateway.routing.reading.nodes import NodeReader
from souk.mesh.policy.policy import (
    AbortedCalls,
    CallLimits,
    DelayedCalls,
    Ejection,
    HeaderRule,
    Locality,
    MirroredCalls,
    RetryOn,
    TryBudget,
    TryRules,
    VersionSplit,
)
from souk.resilience.backoff import Backoff

T = TypeVar("T")
Fields = Mapping[str, yaml.Node]

NONE = "none"
MOST_ATTEMPTS = 10
MOST_CALLS = 1_000_000
WHOLE = 100
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?)%")
_VERSION = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_CONDITIONS = {one.value: one for one in RetryOn}
_CODES = {code.name: code for code in grpc.StatusCode if code is not grpc.StatusCode.OK}


class ValueReader:
    """Reads values; what is wrong is kept in the findings of `nodes`."""

    def __init__(self, nodes: NodeReader) -> None:
        self._nodes = nodes

    def time(self, node: yaml.Node, what: str) -> float | None:
        """Reads a time above zero, or `none`."""
        return None if is_none(node) else self.seconds(node, what)

    def seconds(self, node: yaml.Node, what: str) -> float:
        """Reads a time above zero."""
        before = len(self._nodes.findings)
        seconds = self._nodes.duration(node, what)
        if not seconds and len(self._nodes.findings) == before:
            self._nodes.wrong(node, f"{what} must be above 0s")
        return seconds

    def share(self, node: yaml.Node, what: str) -> float:
        """Reads a share such as 20%, and gives it as a fraction."""
        text = self._nodes.text(node, what)
        found = _SHARE.fullmatch(text)
        if found is None or not 0 < float(found[1]) <= WHOLE:
            self._nodes.wrong(node, f"{what} must be a share above 0% up to 100%, such as 20% or 0.5%, not {text!r}")
            return 1.0
        return round(float(found[1]) / WHOLE, 6)

    def tries(self, node: yaml.Node, above: TryRules | None) -> TryRules | None:
        """Reads `tries`."""
        if is_none(node):
            return None
        nodes, base = self._nodes, above or TryRules()
        given = nodes.fields(node, "tries", ("on", "attempts", "budget", "backoff"))
        on = base.on
        if "on" in given:
            on = frozenset(nodes.all(given["on"], "on", self._condition))
            if not on and isinstance(given["on"], yaml.SequenceNode):
                nodes.wrong(given["on"], "on needs at least one end of a try; `tries: none` means one try")
        return TryRules(
            nodes.whole(given["attempts"], "attempts", 1, MOST_ATTEMPTS) if "attempts" in given else base.attempts,
            on,
            self._backoff(given["backoff"], base.backoff) if "backoff" in given else base.backoff,
        )

    def _condition(self, node: yaml.Node) -> RetryOn:
        return self._nodes.one_of(node, "an end of a try", _CONDITIONS, RetryOn.NOT_SENT)

    def budget(self, tries: yaml.Node, above: TryBudget | None) -> TryBudget | None:
        """Reads the `budget` of `tries`, if it gives one."""
        entries = tries.value if isinstance(tries, yaml.MappingNode) else ()
        node = next((value for key, value in entries if getattr(key, "value", "") == "budget"), None)
        if node is None:
            return above
        if is_none(node):
            return None
        base = above or TryBudget()
        given = self._nodes.fields(node, "budget", ("share", "minimum"))
        return TryBudget(
            self.share(given["share"], "share") if "share" in given else base.share,
            self._nodes.whole(given["minimum"], "minimum", 0, MOST_CALLS) if "minimum" in given else base.minimum,
        )

    def _backoff(self, node: yaml.Node, above: Backoff | None) -> Backoff | None:
        if is_none(node):
            return None
        base = above or TryRules().backoff or Backoff()
        given = self._nodes.fields(node, "backoff", ("initial", "longest"))
        initial = self.seconds(given["initial"], "initial") if "initial" in given else base.initial
        longest = self.seconds(given["longest"], "longest") if "longest" in given else max(base.cap, initial)
        if longest < initial:
            self._nodes.wrong(node, "longest, the longest wait, must not be below initial")
        return replace(base, initial=initial, cap=longest)

    def ejection(self, node: yaml.Node, above: Ejection | None) -> Ejection | None:
        """Reads `ejection`."""
        if is_none(node):
            return None
        base = above or Ejection()
        given = self._nodes.fields(node, "ejection", ("failures", "for", "longest", "most"))
        first = self.seconds(given["for"], "for") if "for" in given else base.ejected_for
        longest = self.seconds(given["longest"], "longest") if "longest" in given else max(base.longest, first)
        if longest < first:
            self._nodes.wrong(node, "longest, the longest time of an ejection, must not be below for, the first")
        failures = self._nodes.whole(given["failures"], "failures", 1, 1_000) if "failures" in given else base.failures
        return Ejection(failures, first, longest, self.share(given["most"], "most") if "most" in given else base.most)

    def limits(self, node: yaml.Node, above: CallLimits | None) -> CallLimits | None:
        """Reads `limits`."""
        if is_none(node):
            return None
        base = above or CallLimits(None, None, None)
        given = self._nodes.fields(node, "limits", ("connections", "requests", "pending"))

        def limit(name: str, before: int | None) -> int | None:
            if name not in given:
                return before
            return None if is_none(given[name]) else self._nodes.whole(given[name], name, 1, MOST_CALLS)

        return CallLimits(
            limit("connections", base.connections), limit("requests", base.requests), limit("pending", base.pending)
        )

    def locality(self, node: yaml.Node, above: Locality | None) -> Locality | None:
        """Reads `locality`."""
        if is_none(node):
            return None
        given = self._nodes.fields(node, "locality", ("prefer", "enough"))
        if "prefer" in given:
            self._nodes.one_of(given["prefer"], "prefer", {"zone": True}, True)
        elif isinstance(node, yaml.MappingNode):
            self._nodes.wrong(node, "locality needs `prefer: zone`, or it is `locality: none`")
        return Locality(self.share(given["enough"], "enough") if "enough" in given else None)

    def split(self, node: yaml.Node, above: VersionSplit | None) -> VersionSplit | None:
        """Reads `split`."""
        if is_none(node):
            return None
        given = self._nodes.fields(node, "split", ("headers", "weights"))
        if not given and isinstance(node, yaml.MappingNode):
            self._nodes.wrong(node, "split needs weights, headers, or both")
        headers = self._nodes.all(given.get("headers"), "headers", self._header)
        return VersionSplit(headers, self._weights(given["weights"]) if "weights" in given else {})

    def _weights(self, node: yaml.Node) -> Mapping[str, int]:
        weights = {
            self.version(at): self._nodes.whole(value, f"the weight of {name!r}", 0, WHOLE)
            for name, value, at in self._nodes.entries(node, "weights")
        }
        if weights and sum(weights.values()) != WHOLE:
            self._nodes.wrong(node, f"weights must add up to {WHOLE}; these add up to {sum(weights.values())}")
        return weights

    def _header(self, node: yaml.Node) -> HeaderRule:
        given = self._nodes.fields(node, "a header", ("name", "value", "version"))
        if len(given) < 3:
            if isinstance(node, yaml.MappingNode):
                self._nodes.wrong(node, "a header needs a name, a value and a version")
            return HeaderRule("", "", "")
        name = self._nodes.text(given["name"], "name").lower()
        if not _HEADER.fullmatch(name):
            self._nodes.wrong(given["name"], f"this is not the name of a header: {name!r}")
        return HeaderRule(name, self._nodes.text(given["value"], "value"), self.version(given["version"]))

    def version(self, node: yaml.Node) -> str:
        """Reads the name of a version."""
        name = self._nodes.text(node, "version")
        if not _VERSION.fullmatch(name):
            self._nodes.wrong(node, f"the name of a version has small letters, digits and hyphens, not {name!r}")
        return name

    def mirror(self, node: yaml.Node, above: MirroredCalls | None) -> MirroredCalls | None:
        """Reads `mirror`."""
        if is_none(node):
            return None
        given = self._nodes.fields(node, "mirror", ("version", "share"))
        if "version" not in given:
            if isinstance(node, yaml.MappingNode):
                self._nodes.wrong(node, "mirror needs the version that gets the copies")
            return None
        share = self.share(given["share"], "share") if "share" in given else 1.0
        return MirroredCalls(self.version(given["version"]), share)

    def delay(self, node: yaml.Node) -> DelayedCalls | None:
        """Reads the `delay` of faults."""
        given = self._both(node, "delay", "for")
        if given is None:
            return None
        return DelayedCalls(self.share(given["share"], "share"), self.seconds(given["for"], "for"))

    def abort(self, node: yaml.Node) -> AbortedCalls | None:
        """Reads the `abort` of faults."""
        given = self._both(node, "abort", "code")
        if given is None:
            return None
        code = self._nodes.one_of(given["code"], "code", _CODES, grpc.StatusCode.UNAVAILABLE)
        return AbortedCalls(self.share(given["share"], "share"), code)

    def _both(self, node: yaml.Node, what: str, other: str) -> Fields | None:
        given = self._nodes.fields(node, what, ("share", other))
        if len(given) < 2:
            if isinstance(node, yaml.MappingNode):
                self._nodes.wrong(node, f"{what} needs share and {other}")
            return None
        return given


def is_none(node: yaml.Node) -> bool:
    """Whether a value is the word `none`, which switches something off."""
    return isinstance(node, yaml.ScalarNode) and node.value == NONE
