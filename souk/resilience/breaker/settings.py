"""When a breaker opens, for how long, and how it tries again."""

from dataclasses import dataclass, field

from souk.resilience.backoff import Backoff
from souk.resilience.breaker.window import CountWindow, TimeWindow, Window


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens and closes. All times are in seconds, all rates between 0 and 1.

    The breaker measures the last `window` calls, or, with `by_time`, those of the last `window`
    seconds, and decides once there are at least `minimum_calls`. It opens when the rate of failures reaches
    `failure_rate`, or when the rate of calls that took at least `slow_after` reaches `slow_rate`.

    It stays open for `open_for`, longer each time that the probes fail. Half open, it lets `probes` calls
    through and decides once `minimum_calls` of them have ended, or all of them if there are fewer. The permit
    of a probe that has not ended after `probe_lease` is taken back. A breaker that is half open for
    `half_open_for` (None: for ever) opens again.
    """

    failure_rate: float = 0.5
    slow_rate: float = 1.0
    slow_after: float = 60.0
    window: int = 100
    by_time: bool = False
    minimum_calls: int = 20
    open_for: Backoff = field(default_factory=lambda: Backoff(5.0, 60.0, jitter=0.0))
    probes: int = 5
    probe_lease: float = 60.0
    half_open_for: float | None = None

    def __post_init__(self) -> None:
        if not (0 < self.failure_rate <= 1 and 0 < self.slow_rate <= 1):
            raise ValueError("failure_rate and slow_rate must be above 0 and at most 1")
        if min(self.window, self.minimum_calls, self.probes) < 1:
            raise ValueError("window, minimum_calls and probes must be at least 1")
        if not self.by_time and self.minimum_calls > self.window:
            raise ValueError("a window of fewer calls than minimum_calls never opens the breaker")
        if min(self.slow_after, self.probe_lease, self.open_for.initial) <= 0:
            raise ValueError("slow_after, probe_lease and open_for must be above 0")

    def new_window(self) -> Window:
        """Makes the window that a closed breaker measures by."""
        return TimeWindow(self.window) if self.by_time else CountWindow(self.window)


TEXTBOOK = BreakerSettings(
    failure_rate=1.0,
    window=4,
    minimum_calls=4,
    open_for=Backoff(5.0, 5.0, jitter=0.0),
    probes=1,
)
"""Opens after more than 3 consecutive failures, for 5 s, then lets one probe through."""
