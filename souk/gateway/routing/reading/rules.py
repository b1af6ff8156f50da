"""Reads the rules of a route: what they match, and what becomes of the request."""

import yaml

from souk.descriptors.contract import Access, RateClass
from souk.gateway.routing.model import (
    BackendRef,
    Match,
    PathType,
    RetryPolicy,
    Rule,
    Timeouts,
)
from souk.gateway.routing.reading.filters import FilterReader
from souk.gateway.routing.reading.matches import read_match
from souk.gateway.routing.reading.nodes import NodeReader
from souk.gateway.routing.reading.upstreams import UpstreamReader

_ACCESS = {"anyone": Access.ANYONE, "caller": Access.CALLER}
_RATES = {"read": RateClass.READ, "write": RateClass.WRITE, "sensitive": RateClass.SENSITIVE}
_OURS = ("access", "scopes", "rateClass", "maxBody", "maxRunning", "replacesContract")
FIELDS = ("name", "matches", "filters", "backendRefs", "timeouts", "retry", *_OURS)
_WEIGHTS = 1_000_000


class RuleReader:
    """Reads rules."""

    def __init__(self, reader: NodeReader, upstreams: UpstreamReader) -> None:
        self._reader, self._upstreams = reader, upstreams
        self._filters = FilterReader(reader, self._mirrored)

    def rule(self, node: yaml.Node, name: str, match: Match | None = None) -> Rule:
        """Reads a rule; with `match`, it has no `matches` of its own."""
        reader = self._reader
        given = reader.fields(node, "a rule", FIELDS if match is None else [one for one in FIELDS if one != "matches"])
        matches = reader.all(given.get("matches"), "matches", lambda item: read_match(reader, item))
        rule = Rule(
            name=reader.text(given["name"], "name") if "name" in given else name,
            matches=(match,)
            if match
            else matches or (Match(line=node.start_mark.line + 1, column=node.start_mark.column + 1),),
            filters=self._filters.filters(given.get("filters"), "a rule"),
            backends=reader.all(given.get("backendRefs"), "backendRefs", self._backend),
            timeouts=self._timeouts(given["timeouts"]) if "timeouts" in given else Timeouts(),
            retry=self._retry(given["retry"]) if "retry" in given else None,
            access=self._access(given),
            scopes=self._scopes(given),
            rate_class=reader.one_of(given["rateClass"], "rateClass", _RATES, None) if "rateClass" in given else None,
            max_body=reader.whole(given["maxBody"], "maxBody", 0, 2**40) if "maxBody" in given else None,
            max_running=reader.whole(given["maxRunning"], "maxRunning", 1, 1_000_000)
            if "maxRunning" in given
            else None,
            replaces_contract="replacesContract" in given
            and reader.flag(given["replacesContract"], "replacesContract"),
            line=node.start_mark.line + 1,
        )
        self._check(node, given, rule)
        return rule

    def short(self, node: yaml.Node, name: str, match: Match) -> Rule:
        """Reads the short form of a rule, which is the name or the URL of its upstream."""
        backend = BackendRef(self._upstreams.reference(node))
        return Rule(name, (match,), backends=(backend,), line=node.start_mark.line + 1)

    def _backend(self, node: yaml.Node) -> BackendRef:
        if isinstance(node, yaml.ScalarNode):
            return BackendRef(self._upstreams.reference(node))
        reader = self._reader
        known = ("name", "url", "port", "weight", "filters", "group", "kind", "namespace")
        given = reader.fields(node, "a backend", known)
        self._kind(given)
        filters = self._filters.filters(given.get("filters"), "a backend")
        if filters.cors or filters.mirrors:
            reader.wrong(given["filters"], "CORS and RequestMirror are filters of rules, not of backends")
        weight = reader.whole(given["weight"], "weight", 0, _WEIGHTS) if "weight" in given else 1
        return BackendRef(self._upstreams.backend(node, given), weight, filters)

    def _mirrored(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode):
            return self._upstreams.reference(node)
        given = self._reader.fields(node, "a backend", ("name", "url", "port", "group", "kind", "namespace"))
        self._kind(given)
        return self._upstreams.backend(node, given)

    def _kind(self, given: dict[str, yaml.Node]) -> None:
        if "kind" in given:
            self._reader.one_of(given["kind"], "kind", {"Service": True}, True)
        if "group" in given and given["group"].value not in ("", "core"):
            self._reader.wrong(given["group"], 'the group of a Service is ""')

    def _timeouts(self, node: yaml.Node) -> Timeouts:
        reader = self._reader
        given = reader.fields(node, "timeouts", ("request", "backendRequest"))
        request = reader.duration(given["request"], "request") if "request" in given else None
        each = reader.duration(given["backendRequest"], "backendRequest") if "backendRequest" in given else None
        if request and each is not None and each > request:
            reader.wrong(given["backendRequest"], "backendRequest, the limit of one try, must not be above request")
        return Timeouts(request, each)

    def _retry(self, node: yaml.Node) -> RetryPolicy:
        reader = self._reader
        given = reader.fields(node, "retry", ("codes", "attempts", "backoff"))
        codes = reader.all(given.get("codes"), "codes", lambda item: reader.whole(item, "a code", 400, 599))
        attempts = reader.whole(given["attempts"], "attempts", 1, 100) if "attempts" in given else 1
        backoff = reader.duration(given["backoff"], "backoff") if "backoff" in given else RetryPolicy().backoff
        return RetryPolicy(frozenset(codes), attempts, backoff)

    def _access(self, given: dict[str, yaml.Node]) -> Access:
        default = Access.CALLER if "scopes" in given else Access.ANYONE
        access = self._reader.one_of(given["access"], "access", _ACCESS, default) if "access" in given else default
        if access is Access.ANYONE and "scopes" in given:
            self._reader.wrong(given["access"], "scopes are those of a caller: access must be caller, or left out")
        return access

    def _scopes(self, given: dict[str, yaml.Node]) -> frozenset[str]:
        found = self._reader.all(given.get("scopes"), "scopes", lambda item: self._reader.text(item, "a scope"))
        return frozenset(found)

    def _check(self, node: yaml.Node, given: dict[str, yaml.Node], rule: Rule) -> None:
        """Keeps what does not go together."""
        redirect, rewrite = rule.filters.redirect, rule.filters.rewrite
        if redirect and rule.backends:
            self._reader.wrong(given["backendRefs"], "a rule that redirects has no backendRefs")
        if redirect and rewrite:
            self._reader.wrong(given["filters"], "RequestRedirect and URLRewrite do not go together")
        changes = [one.path for one in (redirect, rewrite) if one is not None and one.path is not None]
        each = [change for one in rule.backends for change in (one.filters.redirect, one.filters.rewrite)]
        changes += [one.path for one in each if one is not None and one.path is not None]
        prefixes = all(match.path.type is PathType.PREFIX for match in rule.matches)
        if any(change.prefix is not None for change in changes) and not prefixes:
            self._reader.wrong(
                given.get("filters", node), "replacePrefixMatch needs matches whose path is a PathPrefix"
            )
