"""The Generic Cell Rate Algorithm: decides whether a request conforms to a rate, from one number for each key.

The number is the theoretical arrival time (TAT): when the next request would arrive if all came evenly spaced. It
moves on by one interval with each request, and may lie at most `burst` intervals ahead of the present. (ITU-T I.371,
"virtual scheduling algorithm"; equal to a token bucket of `burst` tokens.)

All times here are whole microseconds of one clock, so that no sum is rounded.
"""

from dataclasses import dataclass, field

MICROSECONDS = 1_000_000
FASTEST = 10_000.0
"""The most requests per second that a rate can have: with more, an interval of whole microseconds would not do."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` requests in each `window` seconds, of which `burst` may come at once, by default all.

    In any span of time no more requests conform than `burst`, and `count` for each window of that span. Raises
    ValueError unless count and burst are at least 1, the window lasts longer than 0, and the rate is at most FASTEST.
    """

    count: int
    window: float
    burst: int = 0
    interval: int = field(init=False)
    capacity: int = field(init=False)

    def __post_init__(self) -> None:
        burst = self.burst or self.count
        if self.count < 1 or burst < 1 or not 0 < self.window <= 86_400 * 366:
            raise ValueError("a rate has a count and a burst from 1, and a window above 0 seconds")
        if self.count / self.window > FASTEST:
            raise ValueError(f"a rate is at most {FASTEST:g} requests a second")
        # Rounded up, so that never more than `count` conform to it in a window.
        interval = -int(-self.window * MICROSECONDS // self.count)
        object.__setattr__(self, "burst", burst)
        object.__setattr__(self, "interval", interval)
        object.__setattr__(self, "capacity", burst * interval)

    def after(self, tat: int, now: int, cells: int = 1) -> int:
        """Returns how far ahead of `now` the TAT lies after `cells` more requests; they conform up to `capacity`.

        A TAT further ahead than the capacity was set before the clock went back. It counts as the capacity: whatever
        a clock does, nobody waits longer than for an empty bucket to fill.
        """
        ahead = tat - now
        if ahead < 0:
            ahead = 0
        elif ahead > self.capacity:
            ahead = self.capacity
        return ahead + cells * self.interval

    def remaining(self, ahead: int) -> int:
        """Returns how many more requests conform at once when the TAT lies `ahead`."""
        return max(0, (self.capacity - ahead) // self.interval)

    def wait(self, after: int) -> float:
        """Returns the seconds until requests conform that would bring the TAT to lie `after` ahead; 0 if they do."""
        return max(0, after - self.capacity) / MICROSECONDS
