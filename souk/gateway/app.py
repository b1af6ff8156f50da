"""The gateway: an ASGI application without a framework. Read `Gateway._answer` first, then `endpoint.Pipeline`."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from prometheus_client import CollectorRegistry

from souk.descriptors.asyncapi.document import Speaker, asyncapi_of
from souk.descriptors.contract import Access, Contract, Priority
from souk.descriptors.http_shape import rules_served
from souk.gateway.admission import EdgeAdmission
from souk.gateway.auth.audit import REFUSALS, AuditLog
from souk.gateway.auth.identity import Issuer
from souk.gateway.auth.token_endpoint import TOKEN_PATH
from souk.gateway.backend import Backend, ChannelOf
from souk.gateway.cross_origin import CrossOrigin
from souk.gateway.endpoint import Endpoint, Handle, Pipeline
from souk.gateway.http.answers import Answer, HttpAnswer, StreamedAnswer, SwitchedAnswer
from souk.gateway.http.connection import connection_of
from souk.gateway.http.problem import Problem, internal, method_not_allowed, not_found
from souk.gateway.http.request import ClientGone, Receive, Request, Scope, Send
from souk.gateway.http.routes import Router
from souk.gateway.identification import identity_of, token_endpoint_of
from souk.gateway.limits.limiter import RateLimits
from souk.gateway.log import CLIENT_GONE, RequestLog, made_by
from souk.gateway.mounts import Mounts
from souk.gateway.openapi.document import document_of
from souk.gateway.ops_endpoints import Meta, Ready
from souk.gateway.overload.gate import OverloadGate
from souk.gateway.public_reads.handlers import PublicReads
from souk.gateway.routing.matching.asked import Asked
from souk.gateway.routing.model import Match, RoutesFile
from souk.gateway.routing.outgoing import Target
from souk.gateway.routing.rate_changes import changed_policies
from souk.gateway.routing.route_limits import RouteLimits
from souk.gateway.routing.rule_handler import RuleGate, RuleHandler
from souk.gateway.routing.table import ContractRoute, RoutingTable
from souk.gateway.rpc.endpoint import RpcEndpoint
from souk.gateway.rpc.public_calls import PublicCalls, RpcMethod
from souk.gateway.sending import send_stream, send_switch, send_whole, serve_lifespan
from souk.gateway.session_endpoints import REFRESH_PATH, SESSION_PATH, SessionEndpoints, sessions_of
from souk.gateway.settings import CONSOLE_PATH, GatewaySettings
from souk.gateway.spans import RequestSpan
from souk.gateway.streamed_endpoint import pipeline_of
from souk.gateway.transcoding.transcoder import Transcoder
from souk.kernel.clock import Clock
from souk.telemetry.health import Health
from souk.telemetry.tracing.tracer import Tracer

_META_PATHS = ("/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/asyncapi.json", "/docs/events")
_LIVE = frozenset(("/healthz", "/readyz", "/metrics"))
"""Answers of now, for monitoring."""
OWN_PATHS = (*_META_PATHS, TOKEN_PATH, SESSION_PATH, REFRESH_PATH, CONSOLE_PATH)
"""Paths that the gateway itself answers; no contract may have them."""
_ROOM = nullcontext()
_ALLOW = b"GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"


class Gateway:
    """An ASGI application that turns REST and JSON into calls of services.

    Its routes are the HTTP rules of the methods in `contracts` that are open to anyone or to callers. `channel_of`
    returns the channel to a service by name. `issuer` says how callers are identified. `speakers` are the services
    whose events are documented. `tracer` records requests. Without `limits` no rate is limited, without `overload` no
    request is shed. Raises ConfigurationError or ValueError for contracts that do not fit each other.
    """

    def __init__(
        self,
        contracts: Iterable[Contract],
        channel_of: ChannelOf,
        issuer: Issuer,
        settings: GatewaySettings,
        clock: Clock,
        ready: Ready,
        *,
        registry: CollectorRegistry | None = None,
        health: Health | None = None,
        limits: RateLimits | None = None,
        overload: OverloadGate | None = None,
        speakers: Sequence[Speaker] = (),
        tracer: Tracer | None = None,
    ) -> None:
        self.settings, self._clock, self._tracer = settings, clock, tracer
        named = {contract.name: contract for contract in contracts}
        registry = CollectorRegistry() if registry is None else registry
        self._log, self._audit = RequestLog(registry, clock), AuditLog(registry, clock)
        self.routes, self.mounts = Router[Endpoint](), Mounts()
        self._contract_routes: list[ContractRoute] = []
        self._table: RoutingTable[RuleHandler] | None = None
        self._route_limits = RouteLimits()
        registry.register(self._route_limits)
        self.backend = backend = Backend(named, channel_of, clock)
        self.identity = identity_of(issuer, backend, settings, clock)
        self._limits, self._overload = limits, overload
        self._cross_origin = CrossOrigin(settings.cors_origins) if settings.cors_origins else None
        if overload is not None:
            registry.register(overload)
        for collector in limits.collectors if limits is not None else ():
            registry.register(collector)
        calls = PublicCalls(channel_of, clock)
        make = partial(pipeline_of, settings, backend=backend, clock=clock)
        self._reads = PublicReads(settings, registry, clock)
        for contract in named.values():
            self._route(contract, make, calls)
        tokens = token_endpoint_of(issuer, backend, limits)
        if tokens is not None:
            self.routes.add("POST", TOKEN_PATH, Endpoint(TOKEN_PATH, tokens))
        self.sessions = self._route_session(issuer, backend) if issuer.login_method else None
        described = () if limits is None else (limits.described,)
        self._document = partial(document_of, tuple(named.values()), settings.title, issuer, *described)
        events = partial(asyncapi_of, speakers, settings.title)
        self._meta = Meta(ready, registry, self._document, events, health or Health(clock), settings.docs)
        self._route_meta(self._meta)

    def use_routes(self, file: RoutesFile | None, targets: Mapping[str, Target]) -> None:
        """Puts a routes file into force, or none, for the requests that begin from now on.

        `targets` are its upstreams by name. Raises RoutesFileRefused, and changes nothing, when it does not go with
        the routes of contracts.
        """
        limits, gate = self._limits, RuleGate(self.identity, self._limits)
        policies = () if limits is None else changed_policies(file, limits.base)
        if file is None:
            self._table = None
            if limits is not None:
                limits.use(policies)
            self._meta.describe(self._document)
            return
        own = [path for path in OWN_PATHS if self.routes.find(path) is not None]
        rules = [rule for route in file.routes for rule in route.rules]
        running = self._route_limits.of_rules(rules)
        self._table = RoutingTable(
            file, self._contract_routes, own, lambda _, rule: RuleHandler(rule, targets, gate, running.get(id(rule)))
        )
        self._route_limits.use(rules, running)
        if limits is not None:
            limits.use(policies)
        self._meta.describe(partial(self._document, file=file))

    def _route(self, contract: Contract, make: Callable[..., Pipeline], calls: PublicCalls) -> None:
        for method in contract.methods.values():
            if method.policy.access not in (Access.ANYONE, Access.CALLER):
                continue
            limits = None if self._limits is None else self._limits.of_method(method)
            admission = EdgeAdmission(method.policy, self.identity, limits)
            for rule in rules_served(method):
                stages = make(transcoder=Transcoder(method, rule), admission=admission)
                self._add(rule.verb, rule.path, self._reads.handler(rule.verb, stages), method.policy.priority)
            called = RpcEndpoint(RpcMethod(method, admission, promises=bool(contract.reasons)), calls, self.settings)
            for verb in ("POST", "GET") if method.read_only and method.unary else ("POST",):
                self._add(verb, method.full_name, called, method.policy.priority)

    def _add(self, verb: str, path: str, handle: Handle, priority: Priority) -> None:
        self.routes.add(verb, path, Endpoint(path, handle, priority))
        self._contract_routes.append(ContractRoute(verb, path))

    def _route_session(self, issuer: Issuer, backend: Backend) -> SessionEndpoints:
        sessions = sessions_of(issuer, backend, self.identity, self._limits, self._clock)
        for verb, path, handle in sessions.routes:
            self.routes.add(verb, path, Endpoint(path, handle))
        return sessions

    def _route_meta(self, meta: Meta) -> None:
        now = (meta.root, meta.healthz, meta.readyz, meta.metrics)
        documents = (meta.openapi, meta.docs, meta.asyncapi, meta.events)
        for path, handle in zip(_META_PATHS, (*now, *documents), strict=True):
            if path == "/metrics" and not self.settings.metrics:
                continue
            self.routes.add("GET", path, Endpoint(path, handle if path in _LIVE else self._reads.document(handle)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one HTTP request, or the lifespan, by ASGI 3; closes websockets."""
        if scope["type"] == "http":
            request = Request(scope, receive, self.settings)
            if self._tracer is None:
                await self._serve(request, send)
            else:
                with RequestSpan(self._tracer, request):
                    await self._serve(request, send)
        elif scope["type"] == "lifespan":
            await serve_lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, request: Request, send: Send) -> None:
        started = self._clock.monotonic()
        try:
            answer = await self._answer(request)
        except Problem as problem:
            request.refusal = problem
            answer = _problem_answer(problem, request)
        except ClientGone:
            self._log.finished(request, request.route, CLIENT_GONE, self._clock.monotonic() - started)
            return
        except Exception:
            self._log.failed(request)
            answer = _problem_answer(internal(), request)
        recorded, made = self._record_refusal(request), ""
        if isinstance(answer, HttpAnswer):
            await send_whole(request, answer, send)
            status, made = answer.status, made_by(answer)
        elif isinstance(answer, SwitchedAnswer):
            status = await self._switch(request, answer)
        else:
            status = await self._stream(request, answer, send)
            if not recorded:  # a service may refuse a call when its answer has begun
                self._record_refusal(request)
        self._log.finished(request, request.route, status, self._clock.monotonic() - started, made)

    def _record_refusal(self, request: Request) -> bool:
        """Records a refusal, if the request has met one; returns whether it has."""
        if request.refusal is None or request.refusal.status not in REFUSALS:
            return False
        self._audit.refused(request, request.refusal)
        return True

    async def _stream(self, request: Request, answer: StreamedAnswer, send: Send) -> int:
        """Sends a streamed answer; returns the status for log and metrics."""
        try:
            await send_stream(request, answer, send)
        except ClientGone:
            return CLIENT_GONE
        except Exception as error:
            self._log.broken_off(request, error)
            connection = connection_of(request.scope)
            if connection is None:
                raise  # which makes the server end the connection
            connection.break_off()
        return answer.status

    async def _switch(self, request: Request, answer: SwitchedAnswer) -> int:
        """Lets the connection go on as another protocol, to its end; returns the status for log and metrics."""
        client = connection_of(request.scope)
        if client is None:
            raise TypeError("a protocol was switched for a server that cannot do that")
        await send_switch(request, answer, client)
        return answer.status

    async def _answer(self, request: Request) -> Answer:
        request.check_size()
        if request.path == "*" and request.method == "OPTIONS":  # about the server as such (RFC 9110, 9.3.7)
            return HttpAnswer(204, [(b"allow", _ALLOW)])
        mounted = self.mounts.find(request.path)
        if mounted is not None:
            request.route = mounted.route
            return await mounted.handle(request, ())
        found = self.routes.find(request.path)
        if self._table is not None:
            endpoint = None if found is None else found[0].endpoint(request.method)
            ruled = self._ruled(self._table, request, endpoint)
            if ruled is not None:
                return await ruled
        if self._cross_origin is not None:
            preflight = self._cross_origin.preflight(request)
            if preflight is not None:
                return preflight
        if found is None:
            raise not_found()
        leaf, captures = found
        endpoint = leaf.endpoint(request.method)
        if endpoint is None:
            if request.method == "OPTIONS":
                return HttpAnswer(204, [(b"allow", leaf.allow.encode())])
            raise method_not_allowed(leaf.allow)
        request.route = endpoint.route
        with self._room(endpoint.priority):
            return await endpoint.handle(request, captures)

    def _room(self, priority: Priority | None) -> AbstractContextManager[None]:
        """Returns the context for a request to run in. Raises Problem 503 when there is no room for its priority."""
        if self._overload is None or priority is None:
            return _ROOM
        return self._overload.enter(priority)

    def _ruled(
        self, table: RoutingTable[RuleHandler], request: Request, endpoint: Endpoint | None
    ) -> Awaitable[Answer] | None:
        """Returns the answer of a rule of the routes file; None if a contract's `endpoint` wins, or no rule matches."""
        asked = Asked(request.method, request.path, request.query, request.scope["headers"])
        root = request.path == "/" and table.file.owns_root
        if root:
            endpoint = None
        chosen = table.find(asked, None if endpoint is None else endpoint.route)
        if chosen is None:
            if root:
                raise not_found()
            return None
        request.route = chosen.rule.name
        return self._by_rule(chosen.target, request, asked, chosen.match)

    async def _by_rule(self, handler: RuleHandler, request: Request, asked: Asked, match: Match) -> Answer:
        with self._room(handler.priority):
            return await handler.handle(request, asked, match)


def _problem_answer(problem: Problem, request: Request) -> HttpAnswer:
    return HttpAnswer(problem.status, problem.all_headers(), problem.document(request.request_id))
