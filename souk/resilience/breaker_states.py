"""What a breaker does while it is in a state; each time that it enters one is an object of its own."""

from collections.abc import Sequence
from typing import Protocol

from souk.resilience.breaker_machine import Kind, Permit, State, Trigger
from souk.resilience.breaker_settings import BreakerSettings
from souk.resilience.window import FAILED, SLOW, CountWindow, Window


class Owner(Protocol):
    """The breaker, as its states see it."""

    settings: BreakerSettings
    refused: int

    @property
    def listeners(self) -> Sequence[object]: ...
    def acquire(self, now: float) -> Permit | None: ...
    def move(self, trigger: Trigger, now: float) -> None: ...
    def tell(self, kind: Kind, now: float) -> None: ...
    def is_in(self, behaviour: "StateBehaviour") -> bool: ...


class StateBehaviour:
    """The time from entering a state to leaving it. This one lets nothing through."""

    __slots__ = ("minimum", "owner", "state", "until", "window")

    def __init__(self, owner: Owner, state: State, window: Window, minimum: int, until: float = 0.0) -> None:
        self.owner = owner
        self.state = state
        self.window = window
        self.minimum = minimum
        self.until = until

    def acquire(self, now: float) -> Permit | None:
        """See `Breaker.acquire`."""
        self.owner.refused += 1
        self.owner.tell(Kind.REFUSED, now)
        return None

    def outstanding(self, now: float) -> int:
        """How many leases are held."""
        return 0

    def judge(self, now: float, settled: Trigger | None) -> None:
        """Trips when a rate is reached; else, once there are enough calls, moves by `settled`."""
        window, settings = self.window, self.owner.settings
        if window.calls < self.minimum or not self.owner.is_in(self):
            return
        if window.failed / window.calls >= settings.failure_rate or window.slow / window.calls >= settings.slow_rate:
            self.owner.move(Trigger.TRIP, now)
        elif settled is not None:
            self.owner.move(settled, now)


class Closed(StateBehaviour):
    """Also METRICS_ONLY. It is its own permit: there is nothing to give back, and none to be made."""

    __slots__ = ("_slow_after", "_trips")

    def __init__(self, owner: Owner, state: State) -> None:
        super().__init__(owner, state, owner.settings.new_window(), owner.settings.minimum_calls)
        self._slow_after = owner.settings.slow_after
        self._trips = state is State.CLOSED

    def acquire(self, now: float) -> Permit | None:
        """See `Breaker.acquire`."""
        return self

    def succeed(self, now: float, took: float = 0.0) -> None:
        """See `Permit.succeed`."""
        window = self.window
        window.record(now, SLOW if took >= self._slow_after else 0)
        if self.owner.listeners:
            self.owner.tell(Kind.SUCCEEDED, now)
        if self._trips and (window.failed or window.slow):
            self.judge(now, None)

    def fail(self, now: float, took: float = 0.0) -> None:
        """See `Permit.fail`."""
        self.window.record(now, FAILED | SLOW if took >= self._slow_after else FAILED)
        self.owner.tell(Kind.FAILED, now)
        if self._trips:
            self.judge(now, None)

    def ignore(self, now: float) -> None:
        """See `Permit.ignore`."""
        self.owner.tell(Kind.IGNORED, now)


class Open(StateBehaviour):
    """Refuses until its interval is over; the first to ask then makes the breaker half open."""

    __slots__ = ()

    def __init__(self, owner: Owner, until: float) -> None:
        super().__init__(owner, State.OPEN, CountWindow(1), 1, until)

    def acquire(self, now: float) -> Permit | None:
        """See `Breaker.acquire`."""
        if now < self.until:
            return super().acquire(now)
        self.owner.move(Trigger.WAITED, now)
        return self.owner.acquire(now)


class ForcedOpen(StateBehaviour):
    """Refuses."""

    __slots__ = ()

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner, State.FORCED_OPEN, CountWindow(1), 1)


class Disabled(StateBehaviour):
    """Lets everything through and forgets it."""

    __slots__ = ()

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner, State.DISABLED, CountWindow(1), 1)

    def acquire(self, now: float) -> Permit | None:
        """See `Breaker.acquire`."""
        return self

    def succeed(self, now: float, took: float = 0.0) -> None:
        """Nothing."""

    def fail(self, now: float, took: float = 0.0) -> None:
        """Nothing."""

    def ignore(self, now: float) -> None:
        """Nothing."""


class HalfOpen(StateBehaviour):
    """Leases a few permits. Those held and those whose result is known are never more than `probes`."""

    __slots__ = ("_ends", "_leases")

    def __init__(self, owner: Owner, now: float) -> None:
        settings = owner.settings
        minimum = min(settings.minimum_calls, settings.probes)
        super().__init__(owner, State.HALF_OPEN, CountWindow(settings.probes), minimum)
        self._ends = None if settings.half_open_for is None else now + settings.half_open_for
        # In the order in which they expire, since all last equally long.
        self._leases: dict[ProbePermit, None] = {}

    def acquire(self, now: float) -> Permit | None:
        """See `Breaker.acquire`."""
        if self._ends is not None and now >= self._ends:
            self.owner.move(Trigger.GAVE_UP, now)
            return self.owner.acquire(now)
        if self.outstanding(now) + self.window.calls >= self.owner.settings.probes:
            return super().acquire(now)
        probe = ProbePermit(self, now + self.owner.settings.probe_lease)
        self._leases[probe] = None
        return probe

    def outstanding(self, now: float) -> int:
        """How many leases are held; takes back those that have expired."""
        for probe in list(self._leases):
            if probe.expires > now:
                break
            del self._leases[probe]
            self.owner.tell(Kind.EXPIRED, now)
        return len(self._leases)

    def give_back(self, probe: "ProbePermit", now: float, kind: Kind, outcome: int | None) -> None:
        """Ends a lease, once, with what the call said; None if it said nothing."""
        if probe not in self._leases:
            return
        del self._leases[probe]
        if outcome is not None:
            self.window.record(now, outcome)
        self.owner.tell(kind, now)
        self.judge(now, Trigger.RECOVERED)


class ProbePermit:
    """A leased permit."""

    __slots__ = ("_behaviour", "expires")

    def __init__(self, behaviour: HalfOpen, expires: float) -> None:
        self._behaviour = behaviour
        self.expires = expires

    def succeed(self, now: float, took: float = 0.0) -> None:
        """See `Permit.succeed`."""
        self._behaviour.give_back(self, now, Kind.SUCCEEDED, self._slow(took))

    def fail(self, now: float, took: float = 0.0) -> None:
        """See `Permit.fail`."""
        self._behaviour.give_back(self, now, Kind.FAILED, FAILED | self._slow(took))

    def ignore(self, now: float) -> None:
        """See `Permit.ignore`."""
        self._behaviour.give_back(self, now, Kind.IGNORED, None)

    def _slow(self, took: float) -> int:
        return SLOW if took >= self._behaviour.owner.settings.slow_after else 0
