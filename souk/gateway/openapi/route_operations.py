"""The rules of a routes file as operations of OpenAPI: their paths and methods, who may call, and what is limited.

The bodies are those of servers that nobody describes here. OpenAPI knows no prefix: `PathPrefix /a` is the paths `/a`
and `/a/{rest}`. A regular expression is no path at all: those rules are listed by themselves. Rules that differ only in
hostnames, headers or query share one operation, whose `x-rules` names each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.empty_pb2 import Empty

from souk.descriptors.contract import Access, Contract, Method, Policy, RateClass
from souk.descriptors.openapi.gateway_operation import GatewayOperation
from souk.descriptors.openapi.json_schema import Schema
from souk.descriptors.openapi.paths import VARIABLE
from souk.gateway.auth.identity import Issuer
from souk.gateway.routing.model import HttpRoute, Match, PathType, RoutesFile, Rule

_TAG = "routes"
_ANY_METHOD = ("GET", "PUT", "POST", "DELETE", "PATCH")
"""The methods that are listed for a rule that takes every method."""
_WITH_BODY = ("PUT", "POST", "PATCH", "DELETE")
_OPEN: Schema = {"*/*": {"schema": {}}}
_UPSTREAM_CODES = (
    "UPSTREAM_FAILED",
    "UPSTREAM_UNAVAILABLE",
    "UPSTREAM_TIMEOUT",
    "LOOP_DETECTED",
    "INVALID_PATH",
    "OVERLOADED",
)


@dataclass(frozen=True, slots=True)
class _RuleMatch:
    """One match of a rule."""

    route: HttpRoute
    rule: Rule
    match: Match

    @property
    def conditional(self) -> bool:
        """Whether path and method alone do not decide."""
        return bool(self.route.hostnames or self.match.headers or self.match.query)

    def described(self) -> dict[str, Any]:
        """Returns the entry of `x-rules`."""
        rule = self.rule
        found: dict[str, Any] = {"rule": rule.name, "match": str(self.match), "access": rule.access.name.lower()}
        if self.route.hostnames:
            found["hostnames"] = list(self.route.hostnames)
        if rule.scopes:
            found["scopes"] = sorted(rule.scopes)
        if rule.rate_class is not None:
            found["rateClass"] = rule.rate_class.name.lower()
        if rule.max_body is not None:
            found["maxBody"] = rule.max_body
        return found


def route_operations(file: RoutesFile, issuer: Issuer, contracts: Sequence[Contract]) -> Iterator[GatewayOperation]:
    """Gives an operation for each path and method of a file. `contracts` have the methods of the issuer."""
    identity = next((one.name for one in contracts if issuer.keys_method in one.methods), "")
    found: dict[tuple[str, str], tuple[str, list[_RuleMatch]]] = {}
    for one in _matches(file):
        for path in _paths(one.match):
            for verb in [one.match.method] if one.match.method else _ANY_METHOD:
                key = (VARIABLE.sub("{}", path), verb.lower())
                found.setdefault(key, (path, []))[1].append(one)
    for (_, verb), (path, matches) in found.items():
        yield _operation(path, verb, matches, identity)


def rules_without_path(file: RoutesFile) -> list[dict[str, Any]]:
    """Returns the matches of a file that OpenAPI has no path for: regular expressions."""
    return [one.described() for one in _matches(file) if one.match.path.type is PathType.REGEX]


def _matches(file: RoutesFile) -> Iterator[_RuleMatch]:
    for route in file.routes:
        for rule in route.rules:
            for match in rule.matches:
                yield _RuleMatch(route, rule, match)


def _paths(match: Match) -> Iterator[str]:
    path = match.path
    if path.type is PathType.TEMPLATE:
        yield path.value
    elif path.type is PathType.EXACT:
        yield _literal(path.value)
    elif path.type is PathType.PREFIX:
        yield _literal(path.prefix) or "/"
        yield _literal(path.prefix) + "/{rest}"


def _literal(path: str) -> str:
    return path.replace("{", "%7B").replace("}", "%7D")


def _operation(path: str, verb: str, matches: list[_RuleMatch], identity: str) -> GatewayOperation:
    rules = [one.rule for one in matches]
    closed = [rule for rule in rules if rule.access is Access.CALLER]
    rate = next((rule.rate_class for rule in rules if rule.rate_class is not None), None)
    policy = Policy(rate_class=rate or RateClass.READ)
    names = ", ".join(dict.fromkeys(rule.name for rule in rules))
    redirects = [rule.filters.redirect.status for rule in rules if rule.filters.redirect is not None]
    description = "The request goes on to a server, whose answer comes back as it is."
    return GatewayOperation(
        verb, path, "route", _TAG, f"Route {names}",
        description if len(redirects) < len(rules) else "The answer says where to ask instead.",
        Method(f"/routes/{names}", _TAG, Empty, Empty, policy=policy),
        _answers(redirects, proxied=len(redirects) < len(rules)),
        _UPSTREAM_CODES, (identity,) if closed else (), _security(rules),
        body={"content": _OPEN} if verb.upper() in _WITH_BODY else None,
        parameters=[_parameter(name, path) for name in VARIABLE.findall(path)],
        limited=rate is not None,
        replaces=any(rule.replaces_contract for rule in rules) and not any(one.conditional for one in matches),
        more={"x-rules": [one.described() for one in matches]},
    )  # fmt: skip


def _security(rules: list[Rule]) -> list[Schema]:
    """Returns what any of the rules takes; nothing is an alternative where one of several is open to anyone."""
    closed = [rule for rule in rules if rule.access is Access.CALLER]
    if not closed:
        return []
    found: list[Schema] = [] if len(closed) == len(rules) else [{}]
    found.append({"bearer": []})
    return [*found, {"apiKey": []}] if any(rule.scopes for rule in closed) else found


def _answers(redirects: list[int], *, proxied: bool) -> dict[str, Schema]:
    location = {"Location": {"description": "Where to ask instead.", "schema": {"type": "string"}}}
    found: dict[str, Schema] = {
        str(status): {"description": "Redirected", "headers": location} for status in sorted(set(redirects))
    }
    if proxied:
        found["default"] = {"description": "What the server answers, with any status.", "content": _OPEN}
    return found


def _parameter(name: str, path: str) -> Schema:
    many = "; it may have slashes" if name == "rest" and path.endswith("/{rest}") else ""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"A part of the path{many}.",
        "schema": {"type": "string"},
        "example": "example",
    }
