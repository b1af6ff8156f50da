"""Limits as one gateway of several: `python -m bench.limited_gateway`, with a Plan as JSON on its input.

It counts requests of callers as the gateway's pipeline does, over the Valkey that all gateways share, at an even rate
from the moment that the plan names, and prints what became of them as JSON.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable
from dataclasses import asdict, dataclass

import uvloop
from shop.product.v1 import product_pb2

from souk.descriptors.contract import contract_of
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.gateway.limits.limiter import LimitMode, MethodLimits, RateLimits
from souk.gateway.limits.policies_file import from_mapping
from souk.gateway.limits.policy import Client
from souk.gateway.limits.shared.quotas import SharedQuotas
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.runtime.data.redis import open_redis
from souk.telemetry.logs import LogSettings, configure

TICK = 0.005
PATIENCE = 2.0
"""More than a gateway has: ten of them wait for the cores of one machine."""
_METHOD = "/shop.product.v1.ProductService/GetProduct"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a gateway is to do: `rate` requests a second of its `callers` in turns, for `seconds` from `start` on, which
    is microseconds since 1970. The limit is `count` in `window` seconds for each caller, `burst` at once."""

    url: str
    callers: tuple[str, ...]
    rate: float
    start: int
    seconds: float
    count: int
    window: float
    burst: int


@dataclass(slots=True)
class Outcome:
    """What became of the requests; `waited` counts those that waited for Valkey, `away` says that it was given up."""

    offered: int = 0
    admitted: int = 0
    waited: int = 0
    round_trips: int = 0
    away: bool = False


async def _nothing() -> dict[str, object]:
    return {}


async def _one(limits: MethodLimits, caller: str, outcome: Outcome) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    outcome.offered += 1
    try:
        waiting = limits.admit(Request(scope, _nothing, GatewaySettings()), Client(caller))
        if isinstance(waiting, Awaitable):
            outcome.waited += 1
            await waiting
    except Problem:
        return
    outcome.admitted += 1


async def _run(plan: Plan) -> Outcome:
    clock, outcome = SystemClock(), Outcome()
    table = {"count": plan.count, "window": plan.window, "burst": plan.burst, "by": "caller", "classes": ["read"]}
    method = contract_of(product_pb2.DESCRIPTOR.services_by_name["ProductService"]).methods[_METHOD]
    async with open_redis(plan.url) as redis:
        assert redis is not None
        await redis.ping()
        store = SharedQuotas(redis, clock, PATIENCE)
        limits = RateLimits.of(from_mapping({"shared": table}, ()), store, LimitMode.ENFORCE).of_method(method)
        assert limits is not None
        await asyncio.sleep((plan.start - clock.now()) / MICROSECONDS)
        began, sent = clock.monotonic(), 0
        async with asyncio.TaskGroup() as tasks:
            while (now := clock.monotonic() - began) < plan.seconds:
                while sent < now * plan.rate:
                    tasks.create_task(_one(limits, plan.callers[sent % len(plan.callers)], outcome))
                    sent += 1
                    outcome.away |= store.counts.away
                await asyncio.sleep(TICK)
        outcome.round_trips = store.counts.round_trips
        await store.close()
    return outcome


def main() -> None:
    """Does what the plan says."""
    configure(LogSettings(level="error"))
    plan = Plan(**json.load(sys.stdin))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(_run(plan)))))


if __name__ == "__main__":
    main()
