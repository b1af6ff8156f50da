"""The layers around the calls to one service, in order.

Outermost first: metrics, deadline, retry, the span of each try, per-try time-out, bulkhead, breaker, balancer; then the
transport, which ends a call at its deadline and when it is cancelled.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TypeAlias

from souk.descriptors.contract import Method
from souk.kernel.clock import Clock
from souk.resilience.balancer import Balancer
from souk.resilience.breaker.breaker import Breaker
from souk.resilience.bulkhead import Bulkhead
from souk.resilience.retry import Retry
from souk.rpc.call import Call, Invoke, Layer, Reply
from souk.rpc.client.layers import (
    Ended,
    with_balancer,
    with_breaker,
    with_bulkhead,
    with_deadline,
    with_retry,
    with_tracing,
    with_try_timeout,
)
from souk.rpc.client.spans import with_client_spans
from souk.telemetry.tracing.calling import GRPC
from souk.telemetry.tracing.tracer import Tracer


@dataclass(frozen=True, slots=True)
class Guards:
    """The bulkhead and the breaker that protect a caller from a callee that is slow or failing."""

    bulkhead: "Bulkhead[asyncio.Future[None]]" = field(default_factory=Bulkhead)
    breaker: Breaker = field(default_factory=Breaker)


GuardsOf: TypeAlias = Callable[[Method], Guards]
"""Gives the guards of a method; called once for each method."""


def standard_layers(
    service: str,
    clock: Clock,
    *,
    retry: Retry | None = None,
    guards: GuardsOf | None = None,
    balancer: Balancer | None = None,
    ended: Ended | None = None,
    tracer: Tracer | None = None,
    system: str = GRPC,
) -> list[Layer]:
    """Makes the layers around the calls to `service`, outermost first.

    Without a `balancer` the transport chooses the instance. `guards` gives the bulkhead and the breaker of a method;
    without it each method has a breaker of its own, and all share one bulkhead. `tracer` records a span for each try,
    and `system` is what carries the calls, for these spans.
    """
    layers = [
        with_tracing(clock, ended) if ended else None,
        with_deadline(clock),
        with_retry(retry or Retry(now=clock.monotonic()), clock),
        with_client_spans(tracer, system) if tracer is not None else None,
        with_try_timeout(clock),
        protected(service, clock, guards or sharing(Bulkhead())),
        with_balancer(balancer, service, clock) if balancer else None,
    ]
    return [layer for layer in layers if layer is not None]


def sidecar_layers(
    clock: Clock, *, ended: Ended | None = None, tracer: Tracer | None = None, system: str = GRPC
) -> list[Layer]:
    """Makes the layers around calls through a sidecar, outermost first: metrics, deadline, the span of the call.

    The sidecar does the rest. What it tries again must not be tried again here, or tries would multiply.
    """
    layers = [
        with_tracing(clock, ended) if ended else None,
        with_deadline(clock),
        with_client_spans(tracer, system) if tracer is not None else None,
    ]
    return [layer for layer in layers if layer is not None]


def sharing(bulkhead: "Bulkhead[asyncio.Future[None]]") -> GuardsOf:
    """Gives each method a breaker of its own, and all methods the same bulkhead."""
    return lambda method: Guards(bulkhead)


def protected(service: str, clock: Clock, guards: GuardsOf) -> Layer:
    """Adds bulkhead and breaker, which `guards` gives for each method at its first call."""

    def layer(inner: Invoke) -> Invoke:
        methods: dict[str, Invoke] = {}

        def invoke(call: Call) -> Awaitable[Reply]:
            guarding = methods.get(call.method.full_name)
            if guarding is None:
                own = guards(call.method)
                layers = (with_bulkhead(own.bulkhead, service, clock), with_breaker(own.breaker, service, clock))
                guarding = methods[call.method.full_name] = wrapped(inner, layers)
            return guarding(call)

        return invoke

    return layer


def wrapped(inner: Invoke, layers: Sequence[Layer]) -> Invoke:
    """Wraps `inner` in layers, the first outermost."""
    return reduce(lambda within, layer: layer(within), reversed(layers), inner)
