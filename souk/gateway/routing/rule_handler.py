"""Runs a rule: CORS, identity, rate limit, redirect; then a backend is chosen, and the request goes there, changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from google.protobuf.empty_pb2 import Empty

from souk.descriptors.contract import Access, Method, Policy, Priority, default_priority
from souk.gateway.admission import EdgeAdmission
from souk.gateway.auth.api_keys import KEYED, is_api_key
from souk.gateway.auth.cookies import ACCESS, without_cookies
from souk.gateway.auth.identity import Identity
from souk.gateway.http.answers import Answer, Headers
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.gateway.limits.limiter import MethodLimits, RateLimits
from souk.gateway.overload.route_limit import RouteLimit
from souk.gateway.routing.filters.cors import CorsFilter
from souk.gateway.routing.filters.headers import changed
from souk.gateway.routing.filters.redirect import redirected
from souk.gateway.routing.matching.asked import Asked
from souk.gateway.routing.model import BackendRef, HeaderChange, Match, PathType, Redirect, Rule
from souk.gateway.routing.outgoing import OutgoingRequest, Target
from souk.gateway.routing.weights import Share, WeightedChoice
from souk.kernel.context import Caller

NOWHERE = "NO_BACKEND"
_PRIVATE = (b"souk-", b"client-cert")
"""What begins so is the gateway's to say: callers, and certificates (RFC 9440, 2.4)."""


@dataclass(frozen=True, slots=True)
class RuleGate:
    """Who may pass: what a rule asks of the rest of the gateway."""

    identity: Identity
    limits: RateLimits | None


class RuleHandler:
    """Answers the requests of one rule. `targets` are the upstreams by name; without `running`, any number may run."""

    def __init__(
        self, rule: Rule, targets: Mapping[str, Target], gate: RuleGate, running: RouteLimit | None = None
    ) -> None:
        self.rule, self._running = rule, running
        policy = Policy(access=rule.access, scopes=rule.scopes)
        passed_on = any(targets[one.upstream].vouches for one in rule.backends)
        self._admission = EdgeAdmission(policy, gate.identity, _limits(rule, gate.limits), passed_on)
        self.priority = Priority.NORMAL if rule.rate_class is None else default_priority(rule.rate_class)
        self._cors = CorsFilter(rule.filters.cors) if rule.filters.cors is not None else None
        self._choice = WeightedChoice([((one, targets[one.upstream]), one.weight) for one in rule.backends])
        self._mirrors = [(targets[one.upstream], Share(one.numerator, one.denominator)) for one in rule.filters.mirrors]

    async def handle(self, request: Request, asked: Asked, match: Match) -> Answer:
        """Answers a request that `match` of this rule fits. Raises Problem."""
        if self._cors is None:
            return await self._admitted(request, asked, match)
        origin = asked.header("origin") or ""
        if asked.preflight:
            return self._cors.preflight(origin, asked.preflight, asked.header("access-control-request-headers") or "")
        try:
            answer = await self._admitted(request, asked, match)
        except Problem as problem:
            # A page may read why it was refused, too.
            problem.headers = (*problem.headers, *self._cors.headers(origin))
            raise
        return replace(answer, headers=self._cors.answered(answer.headers, origin))

    async def _admitted(self, request: Request, asked: Asked, match: Match) -> Answer:
        caller = await self._admission.admit(request)
        if self._running is None:
            return await self._passed_on(request, asked, match, caller)
        return await self._running.run(partial(self._passed_on, request, asked, match, caller))

    async def _passed_on(self, request: Request, asked: Asked, match: Match, caller: Caller) -> Answer:
        filters = self.rule.filters
        matched = match.path.prefix if match.path.type is PathType.PREFIX else ""
        if filters.redirect is not None:
            return _redirected(filters.redirect, request, asked, matched)
        chosen = self._choice.next()
        if chosen is None:
            raise Problem(500, NOWHERE, "this route has no backend that takes requests")
        backend, target = chosen
        if backend.filters.redirect is not None:
            return _redirected(backend.filters.redirect, request, asked, matched)
        answer = await target.forward(request, self._outgoing(request, asked, matched, backend, caller))
        return _answered(answer, filters.response_headers, backend.filters.response_headers)

    def _outgoing(
        self, request: Request, asked: Asked, matched: str, backend: BackendRef, caller: Caller
    ) -> OutgoingRequest:
        rule, filters = self.rule, self.rule.filters
        headers = [
            pair
            for pair in request.scope["headers"]
            if not (pair[0].startswith(_PRIVATE) or (pair[0] in KEYED and is_api_key(*pair)))
        ]
        if ACCESS in request.header(b"cookie"):
            headers = [(name, without_cookies(value) if name == b"cookie" else value) for name, value in headers]
        if request.scope.get("scheme") == "https" and (certificate := request.certificate[1]):
            headers.append((b"client-cert", b":%b:" % "".join(certificate.split("\n")[1:-2]).encode()))
        headers = changed(changed(headers, filters.request_headers), backend.filters.request_headers)
        path = asked.sent
        for rewrite in (filters.rewrite, backend.filters.rewrite):
            if rewrite is not None:
                headers = _at_host(rewrite.hostname, headers)
                path = path if rewrite.path is None else rewrite.path.of(asked.path, matched)
        target = path.encode("latin-1") + (b"?" + request.query if request.query else b"")
        mirrors = tuple([mirror for mirror, share in self._mirrors if share.next()]) if self._mirrors else ()
        return OutgoingRequest(
            request.method, target, headers, rule.timeouts, rule.retry, rule.max_body, mirrors, caller
        )


def _redirected(redirect: Redirect, request: Request, asked: Asked, matched: str) -> Answer:
    return redirected(redirect, request.scheme, asked.header("host") or "", asked.path, request.query, matched)


def _at_host(hostname: str, headers: Headers) -> Headers:
    if not hostname:
        return headers
    return [(b"host", hostname.encode()), *(pair for pair in headers if pair[0] != b"host")]


def _answered(answer: Answer, *changes: HeaderChange | None) -> Answer:
    headers = answer.headers
    for change in changes:
        headers = changed(headers, change)
    return answer if headers is answer.headers else replace(answer, headers=headers)


def _limits(rule: Rule, limits: RateLimits | None) -> MethodLimits | None:
    """Gives the limits of the rule's class, as of a method of a contract."""
    if limits is None or rule.rate_class is None:
        return None
    policy = Policy(access=Access.ANYONE, rate_class=rule.rate_class)
    return limits.of_method(Method(f"/routes/{rule.name}", "routes", Empty, Empty, policy=policy))
