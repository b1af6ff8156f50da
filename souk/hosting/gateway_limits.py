"""Makes the rate limits of a gateway from the settings."""

from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policies_file import read_policies
from souk.kernel.clock import Clock
from souk.runtime.config.settings import Settings


def rate_limits(settings: Settings, clock: Clock) -> RateLimits:
    """Makes the limits; with demo data, whose passwords are public, they only report unless the settings say more.

    Raises ConfigurationError, in one line, when the file of policies cannot be used.
    """
    mode = LimitMode(settings.limits.mode or (LimitMode.REPORT if settings.demo else LimitMode.ENFORCE))
    policies = read_policies(settings.limits.policies, "SOUK_LIMIT_POLICIES")
    return RateLimits.of(policies, MemoryQuotas(clock), mode)
