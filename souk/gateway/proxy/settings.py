"""How upstreams are treated, unless a route says otherwise."""

from dataclasses import asdict, dataclass, field, replace

from souk.gateway.routing.model import UpstreamLimits
from souk.resilience.balancer import BalancerSettings
from souk.resilience.breaker.settings import BreakerSettings
from souk.resilience.retry import RetrySettings

KIBIBYTE = 1024
FIRST_BYTE = 30.0
"""Seconds to wait for the head of an answer where neither the route nor the upstream says it."""

_NEVER = 1 << 30
"""More failures in a row, and more requests in a second, than there are."""


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """Times are in seconds, sizes in bytes.

    `connect` limits the making of a connection, `first_byte` the wait for the head of an answer once the request is
    sent (without it FIRST_BYTE, where the route has no time limit), and `idle` each wait for the next part of a body,
    in both directions. A connection that was not used for `keep_for` is closed; `kept` are kept at most for each
    instance, and `connections` may be open to each. A body of at most `whole` bytes is read before the request is sent,
    so that it can be sent again. `read_ahead` is how much of a body waits in this process until its receiver has room.
    The head of an answer has at most `max_head`, its body `max_answer`.
    """

    connect: float = 2.0
    first_byte: float | None = None
    idle: float = 300.0
    keep_for: float = 30.0
    kept: int = 256
    connections: int = 2_048
    whole: int = 64 * KIBIBYTE
    read_ahead: int = 256 * KIBIBYTE
    max_head: int = 64 * KIBIBYTE
    max_answer: int | None = None
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    balancer: BalancerSettings = field(default_factory=BalancerSettings)
    budget: RetrySettings = field(default_factory=RetrySettings)

    @classmethod
    def of(cls, limits: UpstreamLimits) -> "UpstreamSettings":
        """Gives the defaults with what a routes file says."""
        return cls(**{name: value for name, value in asdict(limits).items() if value is not None})

    @property
    def beside_sidecar(self) -> "UpstreamSettings":
        """The same for an upstream behind a sidecar, which leaves out failing instances: here nothing is left out."""
        ejection = replace(self.balancer.ejection, failures=_NEVER)
        breaker = replace(self.breaker, by_time=True, window=1, minimum_calls=_NEVER)
        return replace(self, balancer=replace(self.balancer, ejection=ejection), breaker=breaker)
