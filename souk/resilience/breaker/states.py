"""The behaviour of a breaker in each of its states; whenever it enters a state, it gets a new object."""

from collections.abc import Sequence
from typing import Protocol

from souk.resilience.breaker.machine import Kind, Permit, State, Trigger
from souk.resilience.breaker.settings import BreakerSettings
from souk.resilience.breaker.window import FAILED, SLOW, CountWindow, Window


class Owner(Protocol):
    """The parts of a breaker that its states use."""

    settings: BreakerSettings
    refused: int

    @property
    def listeners(self) -> Sequence[object]: ...
    def acquire(self, now: float) -> Permit | None: ...
    def move(self, trigger: Trigger, now: float) -> None: ...
    def notify(self, kind: Kind, now: float) -> None: ...
    def is_in(self, behaviour: "StateBehaviour") -> bool: ...


class StateBehaviour:
    """The behaviour from entering a state to leaving it. This base class refuses every call."""

    __slots__ = ("minimum", "owner", "state", "until", "window")

    def __init__(self, owner: Owner, state: State, window: Window, minimum: int, until: float = 0.0) -> None:
        self.owner = owner
        self.state = state
        self.window = window
        self.minimum = minimum
        self.until = until

    def acquire(self, now: float) -> Permit | None:
        """Refuses the call; subclasses return permits (`Breaker.acquire`)."""
        self.owner.refused += 1
        self.owner.notify(Kind.REFUSED, now)
        return None

    def outstanding(self, now: float) -> int:
        """Returns the number of leased permits that are held."""
        return 0

    def judge(self, now: float, settled: Trigger | None) -> None:
        """Once there are enough calls, trips if a rate is reached, and else moves by `settled`, if it is not None."""
        window, settings = self.window, self.owner.settings
        if window.calls < self.minimum or not self.owner.is_in(self):
            return
        if window.failed / window.calls >= settings.failure_rate or window.slow / window.calls >= settings.slow_rate:
            self.owner.move(Trigger.TRIP, now)
        elif settled is not None:
            self.owner.move(settled, now)


class Closed(StateBehaviour):
    """The behaviour of CLOSED and METRICS_ONLY. The object is its own permit, since no permit is ever given back."""

    __slots__ = ("_slow_after", "_trips")

    def __init__(self, owner: Owner, state: State) -> None:
        super().__init__(owner, state, owner.settings.new_window(), owner.settings.minimum_calls)
        self._slow_after = owner.settings.slow_after
        self._trips = state is State.CLOSED

    def acquire(self, now: float) -> Permit | None:
        """Permits every call."""
        return self

    def succeed(self, now: float, took: float = 0.0) -> None:
        """Records a success, and trips if the rate of failed or slow calls is reached."""
        window = self.window
        window.record(now, SLOW if took >= self._slow_after else 0)
        if self.owner.listeners:
            self.owner.notify(Kind.SUCCEEDED, now)
        if self._trips and (window.failed or window.slow):
            self.judge(now, None)

    def fail(self, now: float, took: float = 0.0) -> None:
        """Records a failure, and trips if the rate of failed or slow calls is reached."""
        self.window.record(now, FAILED | SLOW if took >= self._slow_after else FAILED)
        self.owner.notify(Kind.FAILED, now)
        if self._trips:
            self.judge(now, None)

    def ignore(self, now: float) -> None:
        """Only sends the event: the window does not count the call."""
        self.owner.notify(Kind.IGNORED, now)


class Open(StateBehaviour):
    """Refuses calls until its interval is over; the first call after that makes the breaker half open."""

    __slots__ = ()

    def __init__(self, owner: Owner, until: float) -> None:
        super().__init__(owner, State.OPEN, CountWindow(1), 1, until)

    def acquire(self, now: float) -> Permit | None:
        """Refuses the call, or, once the interval is over, moves the breaker to half open and asks it again."""
        if now < self.until:
            return super().acquire(now)
        self.owner.move(Trigger.WAITED, now)
        return self.owner.acquire(now)


class ForcedOpen(StateBehaviour):
    """Refuses every call."""

    __slots__ = ()

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner, State.FORCED_OPEN, CountWindow(1), 1)


class Disabled(StateBehaviour):
    """Lets every call through and records nothing. The object is its own permit."""

    __slots__ = ()

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner, State.DISABLED, CountWindow(1), 1)

    def acquire(self, now: float) -> Permit | None:
        """Permits every call."""
        return self

    def succeed(self, now: float, took: float = 0.0) -> None:
        """Records nothing."""

    def fail(self, now: float, took: float = 0.0) -> None:
        """Records nothing."""

    def ignore(self, now: float) -> None:
        """Records nothing."""


class HalfOpen(StateBehaviour):
    """Leases a few permits: those that are held and those whose result is known are together at most `probes`."""

    __slots__ = ("_ends", "_leases")

    def __init__(self, owner: Owner, now: float) -> None:
        settings = owner.settings
        minimum = min(settings.minimum_calls, settings.probes)
        super().__init__(owner, State.HALF_OPEN, CountWindow(settings.probes), minimum)
        self._ends = None if settings.half_open_for is None else now + settings.half_open_for
        # In the order in which they expire, since all last equally long.
        self._leases: dict[ProbePermit, None] = {}

    def acquire(self, now: float) -> Permit | None:
        """Leases a permit, or refuses if `probes` calls are under way or have ended.

        After `half_open_for` it opens the breaker and asks it again.
        """
        if self._ends is not None and now >= self._ends:
            self.owner.move(Trigger.GAVE_UP, now)
            return self.owner.acquire(now)
        if self.outstanding(now) + self.window.calls >= self.owner.settings.probes:
            return super().acquire(now)
        probe = ProbePermit(self, now + self.owner.settings.probe_lease)
        self._leases[probe] = None
        return probe

    def outstanding(self, now: float) -> int:
        """Takes back the leases that have expired; returns how many are still held."""
        for probe in list(self._leases):
            if probe.expires > now:
                break
            del self._leases[probe]
            self.owner.notify(Kind.EXPIRED, now)
        return len(self._leases)

    def give_back(self, probe: "ProbePermit", now: float, kind: Kind, outcome: int | None) -> None:
        """Ends a lease, once, with the result of the call; `outcome` is None if the call says nothing of the callee."""
        if probe not in self._leases:
            return
        del self._leases[probe]
        if outcome is not None:
            self.window.record(now, outcome)
        self.owner.notify(kind, now)
        self.judge(now, Trigger.RECOVERED)


class ProbePermit:
    """A permit that a half-open breaker leases; it ends when the call ends, or at `expires`."""

    __slots__ = ("_behaviour", "expires")

    def __init__(self, behaviour: HalfOpen, expires: float) -> None:
        self._behaviour = behaviour
        self.expires = expires

    def succeed(self, now: float, took: float = 0.0) -> None:
        """Ends the lease with a success."""
        self._behaviour.give_back(self, now, Kind.SUCCEEDED, self._slow(took))

    def fail(self, now: float, took: float = 0.0) -> None:
        """Ends the lease with a failure."""
        self._behaviour.give_back(self, now, Kind.FAILED, FAILED | self._slow(took))

    def ignore(self, now: float) -> None:
        """Ends the lease without a result."""
        self._behaviour.give_back(self, now, Kind.IGNORED, None)

    def _slow(self, took: float) -> int:
        return SLOW if took >= self._behaviour.owner.settings.slow_after else 0
