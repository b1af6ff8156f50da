"""An upstream: the instances of one HTTP service, and how requests get there."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from random import Random

from souk.discovery.directory import Directory
from souk.discovery.registry import Instance
from souk.gateway.http.answers import Answer, Headers
from souk.gateway.http.connection import WhileConnected, connection_of
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.gateway.proxy.connection import UpstreamConnection
from souk.gateway.proxy.exchange import FAILING, Exchange
from souk.gateway.proxy.faults import FaultKind, UpstreamFault, no_instance, require_answered
from souk.gateway.proxy.heads import BY_SENDER, Networks, RequestHeads, asks_for_websocket
from souk.gateway.proxy.http2.exchange import Http2Exchange
from souk.gateway.proxy.http2.pool import ALPN, Http2Pool
from souk.gateway.proxy.metrics import CLIENT_GONE, NO_INSTANCE, REFUSED, STATUS_CLASSES, UpstreamMetrics
from souk.gateway.proxy.mirror import MirrorTasks
from souk.gateway.proxy.pool import InstanceAddress, InstancePool, http_address
from souk.gateway.proxy.request_body import OutgoingBody
from souk.gateway.proxy.settings import UpstreamSettings
from souk.gateway.proxy.tries import Tries, discard
from souk.gateway.routing.outgoing import OutgoingRequest
from souk.kernel.clock import Clock
from souk.kernel.context import Caller
from souk.resilience.balancer import Balancer, BalancerMember
from souk.resilience.breaker.breaker import Breaker
from souk.resilience.retry import RetryBudget
from souk.rpc.caller_token import CALLER_KEY, OVER_HTTP, CallerTokens
from souk.telemetry.logs import logger
from souk.telemetry.tracing.tracer import Tracer

_UNAVAILABLE = 503
_NO_FAILURE = (FaultKind.STALE, FaultKind.UNPROCESSED, FaultKind.TOO_LARGE)
"""What an instance may do that works."""
_SWITCH = b"connection: upgrade\r\nupgrade: websocket\r\n"

_log = logger("gateway")


class Upstream:
    """A target of routes. `forward` sends a request to one of the instances, and gives its answer.

    Instances that fail are left out for a while; while most requests fail, the breaker answers for the upstream.
    `trusted` are the networks of proxies whose word on clients goes on. Without `tls`, instances of https are checked
    against the authorities that the system knows. With `http2` the instances are spoken to in HTTP/2, of which `tls`
    must then offer ALPN's `h2`. `tracer` records each try.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        settings: UpstreamSettings | None = None,
        trusted: Networks = (),
        tls: ssl.SSLContext | None = None,
        metrics: UpstreamMetrics | None = None,
        http2: bool = False,
        tracer: Tracer | None = None,
    ) -> None:
        self.name, self._clock, self._tls, self._tracer = name, clock, tls, tracer
        self._observe = metrics.observer(name) if metrics else None
        self._retried = metrics.retried(name) if metrics else None
        self.settings = settings = settings or UpstreamSettings()
        self._trusted, self._heads = trusted, RequestHeads(trusted)
        self.through_sidecar = False
        self._balancer = Balancer(settings=settings.balancer)
        self.breaker = Breaker(settings.breaker)
        self._budget = RetryBudget(settings.budget, clock.monotonic())
        self._random = Random()
        self._pool_kind: type[InstancePool | Http2Pool] = Http2Pool if http2 else InstancePool
        self._pools: dict[str, InstancePool | Http2Pool] = {}
        self._token: Callable[[Caller], str] | None = None
        self._unfollow: Callable[[], None] | None = None
        self.mirrored = MirrorTasks(name)

    def listed(self, urls: Iterable[str]) -> "Upstream":
        """Takes the instances from a list of URLs. Raises ValueError for one that is none. Returns itself."""
        self._use([BalancerMember(url) for url in urls])
        return self

    @property
    def vouches(self) -> bool:
        """Whether requests carry a token that says who calls."""
        return self._token is not None

    def discovered(self, directory: Directory, service: str, tokens: CallerTokens | None = None) -> "Upstream":
        """Takes the instances of a service from discovery, now and whenever they change. Returns itself.

        With `tokens` each request carries one, which only that service accepts and which says who calls.
        """
        if tokens is not None:
            self._token = lambda caller: tokens.sign(caller, service, OVER_HTTP)
        self._unfollow = directory.on_change(service, self._found)
        self._found(directory.instances(service))
        return self

    def through(self, sidecar: str, service: str, tokens: CallerTokens | None = None) -> "Upstream":
        """Sends requests to a service through the sidecar of this process, at its address. Returns itself.

        The sidecar knows the instances: it balances, leaves out, and sends again what was not sent or was lost.
        """
        if tokens is not None:
            self._token = lambda caller: tokens.sign(caller, service, OVER_HTTP)
        self.through_sidecar, self._heads = True, RequestHeads(self._trusted, service.encode())
        self._use([BalancerMember(sidecar)])
        return self

    def _found(self, instances: Iterable[Instance]) -> None:
        self._use([BalancerMember(http_address(one), one.zone, one.weight) for one in instances])

    def _use(self, members: list[BalancerMember]) -> None:
        known = self._pools
        self._pools = {
            one.address: known.get(one.address) or self._pool_kind(one.address, self.settings, self._secured)
            for one in members
        }
        for address, pool in known.items():
            if address not in self._pools:
                pool.close()
        self._balancer.update(members, self._clock.monotonic())

    def _secured(self) -> ssl.SSLContext:
        return self._tls or _by_system(http2=self._pool_kind is Http2Pool)

    async def forward(self, request: Request, outgoing: OutgoingRequest) -> Answer:
        """Sends a request to an instance, and gives the answer as it comes.

        Raises Problem: 502 when the upstream fails, 503 when no instance can be asked, 504 when it is late, 413 for a
        body that is too large; and ClientGone.
        """
        now = self._clock.monotonic()
        permit = self.breaker.acquire(now)
        if permit is None:
            if self._observe:
                self._observe(REFUSED, 0.0)
            raise no_instance(self.breaker.retry_after(now))
        failed: bool | None = None
        outcome = CLIENT_GONE
        try:
            with WhileConnected(request):
                body = OutgoingBody(request, outgoing.max_body)
                await body.gather(self.settings.whole)
                if outgoing.mirrors and body.octets is not None:
                    for mirror in outgoing.mirrors:
                        mirror.copy(request, outgoing, body.octets)
                answer = await self._tried(request, outgoing, body)
            failed, outcome = answer.status in FAILING, STATUS_CLASSES.get(answer.status // 100, "")
        except Problem as problem:
            outcome = NO_INSTANCE if problem.status == _UNAVAILABLE else STATUS_CLASSES[problem.status // 100]
            raise
        except UpstreamFault as fault:
            failed, outcome = None if fault.kind is FaultKind.TOO_LARGE else True, fault.kind.value
            _log.warning("an upstream failed", upstream=self.name, why=str(fault), trace_id=request.trace.trace_id)
            raise fault.problem() from fault
        finally:
            ended = self._clock.monotonic()
            if failed is None:
                permit.ignore(ended)
            elif failed:
                permit.fail(ended, ended - now)
            else:
                permit.succeed(ended, ended - now)
            if self._observe:
                self._observe(outcome, ended - now)
        return answer

    @property
    def instances(self) -> int:
        """How many instances are known, ejected ones included."""
        return len(self._pools)

    def ejected(self, now: float) -> list[str]:
        """Returns the addresses of the instances that are left out at a time of the clock."""
        return self._balancer.ejected(now)

    def connections(self) -> tuple[int, int]:
        """Counts the connections that are kept without a request, and all others."""
        counts = [pool.counts() for pool in self._pools.values()]
        return sum(idle for idle, _ in counts), sum(busy for _, busy in counts)

    def copy(self, request: Request, outgoing: OutgoingRequest, body: bytes) -> None:
        """Sends a copy of a request some time soon, and throws the answer away. It never waits and never fails."""
        self.mirrored.start(self._copied(request, replace(outgoing, retry=None), OutgoingBody(request, None, body)))

    async def _copied(self, request: Request, outgoing: OutgoingRequest, body: OutgoingBody) -> None:
        try:
            await discard(await self._tried(request, outgoing, body))
        except UpstreamFault as fault:
            raise fault.problem() from fault

    async def _tried(self, request: Request, outgoing: OutgoingRequest, body: OutgoingBody) -> Answer:
        now = asyncio.get_running_loop().time()
        tries = Tries(outgoing, request.method, self._budget, self._random, now)
        while True:
            try:
                answer = await self._once(request, outgoing, body, tries)
            except UpstreamFault as fault:
                wait = tries.after_fault(fault, body, len(self._pools), self._clock.monotonic())
                if wait is None:
                    raise
            else:
                wait = tries.after_answer(answer.status, body, self._clock.monotonic())
                if wait is None:
                    return answer
                await discard(answer)
            if self._retried:
                self._retried()
            if wait:
                await asyncio.sleep(wait)

    async def _once(self, request: Request, outgoing: OutgoingRequest, body: OutgoingBody, tries: Tries) -> Answer:
        timeout = self._timeout(tries)
        instance = self._balancer.pick(self._clock.monotonic(), tries.asked)
        if instance is None:
            raise no_instance()
        tries.asked.add(instance.address)
        pool = self._pools[instance.address]
        traced = tries.traced(self._tracer, request, pool.address)

        def ended(failed: bool | None, status: int = 0) -> None:
            now = self._clock.monotonic()
            self._balancer.ended(instance, now, failed)
            traced.ended(status, failed=failed, ejected=bool(failed) and instance.ejected_until > now)

        exchange: Exchange | Http2Exchange | None = None
        try:
            if isinstance(pool, Http2Pool):
                exchange = Http2Exchange(await pool.connection(), self.settings, ended)
                await exchange.head(
                    request, self._fields(request, outgoing, pool.address, body, traced.traceparent), body, timeout
                )
            else:
                exchange = Exchange(await self._connection(pool, body, tries), pool, self.settings, ended)
                switch = asks_for_websocket(request, outgoing.headers) and connection_of(request.scope) is not None
                at, trace = pool.address.authority, traced.traceparent
                head = self._head(request, outgoing, at, body, trace, switch=switch)
                await exchange.head(request, head, body, timeout, may_switch=switch)
            if self.through_sidecar:
                require_answered(exchange.headers)
            return exchange.answer(tries.deadline)
        except BaseException as error:
            failed = True if isinstance(error, UpstreamFault) and error.kind not in _NO_FAILURE else None
            traced.failed(error, expected=not failed)
            if exchange is None:
                ended(failed)
            else:
                exchange.close(failed=failed)
            raise

    def _fields(
        self, request: Request, outgoing: OutgoingRequest, at: InstanceAddress, body: OutgoingBody, trace: str
    ) -> Headers:
        scheme, target, headers = b"https" if at.secure else b"http", outgoing.target, outgoing.headers
        fields = self._heads.fields(request, target, headers, at.authority, scheme, body.length, trace)
        return [*fields, *self._vouched(outgoing)]

    def _vouched(self, outgoing: OutgoingRequest) -> Headers:
        fields = [] if self._token is None else [(CALLER_KEY.encode(), self._token(outgoing.caller).encode())]
        return [*fields, BY_SENDER] if self.through_sidecar and outgoing.retry is not None else fields

    async def _connection(self, pool: InstancePool, body: OutgoingBody, tries: Tries) -> UpstreamConnection:
        kept = None if tries.fresh else pool.kept(surely=not tries.may_repeat(body))
        return kept or await pool.connect()

    def _timeout(self, tries: Tries) -> float | None:
        return tries.timeout(self.settings.first_byte, asyncio.get_running_loop().time())

    def _head(
        self, request: Request, outgoing: OutgoingRequest, at: bytes, body: OutgoingBody, trace: str, *, switch: bool
    ) -> bytes:
        extra = b"expect: 100-continue\r\n" if body.waits else _SWITCH if switch else b""
        for pair in self._vouched(outgoing):
            extra += b"%b: %b\r\n" % pair
        return self._heads.write(request, outgoing.target, outgoing.headers, at, body.length, extra, trace)

    async def close(self) -> None:
        """Ends the kept connections, and copies of mirrored requests; requests under way go on."""
        if self._unfollow is not None:
            self._unfollow()
        await self.mirrored.close()
        for pool in self._pools.values():
            pool.close()


@cache
def _by_system(*, http2: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if http2:
        context.set_alpn_protocols([ALPN])
    return context
