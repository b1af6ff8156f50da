"""How upstreams are treated, unless a route says otherwise."""

from dataclasses import dataclass, field

from souk.resilience.balancer import BalancerSettings
from souk.resilience.breaker.settings import BreakerSettings
from souk.resilience.retry import RetrySettings

KIBIBYTE = 1024


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """Times are in seconds, sizes in bytes.

    `connect` limits the making of a connection, `first_byte` the wait for the head of an answer once the request is
    sent, and `idle` each wait for the next part of a body, in both directions. A connection that was not used for
    `keep_for` is closed; `kept` are kept at most for each instance, and `connections` may be open to each. A body of at
    most `whole` bytes is read before the request is sent, so that it can be sent again. `read_ahead` is how much of a
    body waits in this process until its receiver has room.
    """

    connect: float = 2.0
    first_byte: float = 30.0
    idle: float = 300.0
    keep_for: float = 30.0
    kept: int = 256
    connections: int = 2_048
    whole: int = 64 * KIBIBYTE
    read_ahead: int = 256 * KIBIBYTE
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    balancer: BalancerSettings = field(default_factory=BalancerSettings)
    budget: RetrySettings = field(default_factory=RetrySettings)
