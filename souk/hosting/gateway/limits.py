"""Makes the rate limits of a gateway, and its load shedding, from the settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policies_file import read_policies
from souk.gateway.limits.policy import LimitPolicy
from souk.gateway.limits.shared.quotas import SharedQuotas
from souk.gateway.overload.gate import OverloadGate
from souk.gateway.overload.lag import watch_lag
from souk.kernel.clock import Clock
from souk.runtime.config.settings import Settings
from souk.runtime.data.redis import open_redis
from souk.telemetry.tracing.tracer import Tracer


def rate_limits(settings: Settings, clock: Clock) -> RateLimits:
    """Makes limits that this process counts alone.

    Raises ConfigurationError, in one line, when the file of policies cannot be used.
    """
    return RateLimits.of(_policies(settings), MemoryQuotas(clock), _mode(settings))


@asynccontextmanager
async def opened_limits(settings: Settings, clock: Clock, tracer: Tracer | None) -> AsyncIterator[RateLimits]:
    """Gives limits that all gateways at one Redis share; without a Redis, limits that this process counts alone.

    `tracer` records what requests wait for. Raises ConfigurationError, as `rate_limits` does.
    """
    policies, mode = _policies(settings), _mode(settings)
    async with open_redis(None if mode is LimitMode.OFF else settings.data.redis) as redis:
        if redis is None:
            yield RateLimits.of(policies, MemoryQuotas(clock), mode)
            return
        quotas = SharedQuotas(redis, clock, tracer=tracer)
        try:
            yield RateLimits.of(policies, quotas, mode, quotas.counts)
        finally:
            await quotas.close()


@asynccontextmanager
async def watched_gate(settings: Settings, clock: Clock) -> AsyncIterator[OverloadGate | None]:
    """Gives the gate that sheds load, and measures the event loop's lag for it; None when limits are off."""
    mode = _mode(settings)
    if mode is LimitMode.OFF:
        yield None
        return
    gate = OverloadGate(settings.limits.running, enforce=mode is LimitMode.ENFORCE)
    watching = asyncio.create_task(watch_lag(gate, clock))
    try:
        yield gate
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _policies(settings: Settings) -> tuple[LimitPolicy, ...]:
    return read_policies(settings.limits.policies, "SOUK_LIMIT_POLICIES")


def _mode(settings: Settings) -> LimitMode:
    """With demo data, whose passwords are public, limits only report unless the settings say more."""
    return LimitMode(settings.limits.mode or (LimitMode.REPORT if settings.demo else LimitMode.ENFORCE))
