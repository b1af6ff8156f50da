"""Circuit breaker: stops the calls to a callee that fails, and finds out when it works again.

Pure: time is an argument, in seconds that never go back. Not for several threads at once.

    permit = breaker.acquire(now)          None: refused; fail at once
    permit.succeed(now, took)              call exactly one of these three, however the call ended:
    permit.fail(now, took)
    permit.ignore(now)                     cancelled, or the end says nothing about the callee

The result of a call counts only in the state that gave the permit: a call that began before the breaker opened
decides nothing later. In the half-open state permits are leases: each is given back once, at the latest when it
expires.

Sources: Michael Nygard, "Release It!"; resilience4j, "CircuitBreaker".
"""

from collections.abc import Callable
from random import Random

from souk.resilience.breaker.machine import MACHINE, BreakerEvent, Kind, Permit, Snapshot, State, Trigger
from souk.resilience.breaker.settings import TEXTBOOK, BreakerSettings
from souk.resilience.breaker.states import Closed, Disabled, ForcedOpen, HalfOpen, Open, StateBehaviour

__all__ = ["Breaker", "BreakerEvent", "BreakerSettings", "Kind", "Permit", "Snapshot", "State", "Trigger"]

Listener = Callable[[BreakerEvent], None]


class Breaker:
    """The breaker for one callee: gives permits for calls, and changes its state by their results."""

    def __init__(self, settings: BreakerSettings | None = None, *, random: Random | None = None) -> None:
        self.settings = settings or BreakerSettings()
        self._random = random or Random()
        self.listeners: list[Listener] = []
        self._openings = 0
        self.refused = 0
        self._since: float | None = None
        self._behaviour: StateBehaviour = Closed(self, State.CLOSED)

    @classmethod
    def textbook(cls) -> "Breaker":
        """Makes a breaker that opens after more than 3 consecutive failures, for 5 s, then lets one probe through."""
        return cls(TEXTBOOK)

    @property
    def state(self) -> State:
        """The state as of the last call; an open breaker turns half open when it is asked for a permit."""
        return self._behaviour.state

    def acquire(self, now: float) -> Permit | None:
        """Returns a permit for one call, or None if the call is not to be made."""
        return self._behaviour.acquire(now)

    def retry_after(self, now: float) -> float:
        """Returns the seconds after which `acquire` is worth calling again; 0 if that is not known."""
        return max(0.0, self._behaviour.until - now)

    def reset(self, now: float) -> None:
        """Closes the breaker, with an empty window."""
        self._openings = 0
        self.move(Trigger.RESET, now)

    def disable(self, now: float) -> None:
        """Lets everything through until `reset`."""
        self.move(Trigger.DISABLE, now)

    def force_open(self, now: float) -> None:
        """Refuses everything until `reset`."""
        self.move(Trigger.FORCE_OPEN, now)

    def observe(self, now: float) -> None:
        """Lets everything through until `reset`, and only measures."""
        self.move(Trigger.OBSERVE, now)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with every event; returns a function that stops it."""
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def snapshot(self, now: float) -> Snapshot:
        """Returns the state and the numbers at `now`."""
        behaviour, window = self._behaviour, self._behaviour.window
        window.evict(now)
        known = window.calls >= behaviour.minimum
        return Snapshot(
            behaviour.state,
            window.calls,
            window.failed,
            window.slow,
            window.failed / window.calls if known else None,
            window.slow / window.calls if known else None,
            self.refused,
            behaviour.outstanding(now),
            self._since,
            behaviour.until or None,
        )

    def move(self, trigger: Trigger, now: float) -> None:
        """Moves to the state that the table gives for `trigger`. Raises IllegalTransition if it gives none."""
        before = self._behaviour.state
        state = MACHINE.next(before, trigger)
        if state is State.OPEN:
            self._openings += 1
        elif state is State.CLOSED:
            self._openings = 0
        self._behaviour, self._since = self._enter(state, now), now
        self.notify(Kind.CHANGED, now, trigger, before)

    def notify(self, kind: Kind, now: float, trigger: Trigger | None = None, before: State | None = None) -> None:
        """Sends an event to the listeners."""
        if self.listeners:
            event = BreakerEvent(kind, now, self._behaviour.state, trigger, before)
            for listener in tuple(self.listeners):
                listener(event)

    def is_in(self, behaviour: StateBehaviour) -> bool:
        """Whether the breaker has not left the state since it entered it with `behaviour`."""
        return self._behaviour is behaviour

    def _enter(self, state: State, now: float) -> StateBehaviour:
        if state is State.OPEN:
            return Open(self, now + self.settings.open_for.delay(self._openings, self._random))
        if state is State.FORCED_OPEN:
            return ForcedOpen(self)
        if state is State.HALF_OPEN:
            return HalfOpen(self, now)
        return Disabled(self) if state is State.DISABLED else Closed(self, state)
