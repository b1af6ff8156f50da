"""The layers around the calls to one service, in order.

Outermost first: trace, deadline, fallback, retry, per-try time-out, bulkhead, breaker, balancer; then the
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
from souk.resilience.breaker import Breaker
from souk.resilience.bulkhead import Bulkhead
from souk.resilience.retry import Retry
from souk.rpc.call import Call, Invoke, Layer, Reply
from souk.rpc.layers import (
    Answer,
    Ended,
    balanced,
    guarded,
    in_bulkhead,
    retried,
    traced,
    with_deadline,
    with_fallback,
    with_try_timeout,
)


@dataclass(frozen=True, slots=True)
class Guards:
    """What keeps a callee's weakness away from its caller."""

    bulkhead: "Bulkhead[asyncio.Future[None]]" = field(default_factory=Bulkhead)
    breaker: Breaker = field(default_factory=Breaker)


GuardsOf: TypeAlias = Callable[[Method], Guards]
"""The guards of a method that has its own; asked once for each."""


def standard_layers(
    service: str,
    clock: Clock,
    *,
    retry: Retry | None = None,
    guards: Guards | None = None,
    isolated: GuardsOf | None = None,
    balancer: Balancer | None = None,
    fallback: Answer | None = None,
    ended: Ended | None = None,
) -> list[Layer]:
    """The layers around the calls to `service`, outermost first; without a balancer the transport chooses.

    Methods share `guards`, but for those that their contract isolates: these have the ones that `isolated`
    gives.
    """
    layers = [
        traced(clock, ended) if ended else None,
        with_deadline(clock),
        with_fallback(fallback) if fallback else None,
        retried(retry or Retry(now=clock.monotonic()), clock),
        with_try_timeout(clock),
        protected(service, clock, guards or Guards(), isolated),
        balanced(balancer, service, clock) if balancer else None,
    ]
    return [layer for layer in layers if layer is not None]


def protected(service: str, clock: Clock, shared: Guards, isolated: GuardsOf | None = None) -> Layer:
    """Bulkhead and breaker: one pair for the service, and one for each method that the contract isolates."""

    def around(inner: Invoke, guards: Guards) -> Invoke:
        layers = (in_bulkhead(guards.bulkhead, service, clock), guarded(guards.breaker, service, clock))
        return wrapped(inner, layers)

    def layer(inner: Invoke) -> Invoke:
        together = around(inner, shared)
        if isolated is None:
            return together
        own: dict[str, Invoke] = {}

        def invoke(call: Call) -> Awaitable[Reply]:
            if not call.method.policy.isolated:
                return together(call)
            alone = own.get(call.method.full_name)
            if alone is None:
                alone = own[call.method.full_name] = around(inner, isolated(call.method))
            return alone(call)

        return invoke

    return layer


def wrapped(inner: Invoke, layers: Sequence[Layer]) -> Invoke:
    """`inner` with layers around it, the first outermost."""
    return reduce(lambda within, layer: layer(within), reversed(layers), inner)
