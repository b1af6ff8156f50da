"""Bulkhead: limits how many calls to one service run at once and how many wait; it refuses the rest.

Waiting calls are let in by rounds over the callers (fair queuing: Nagle, RFC 970), each caller's own calls in
order, and the running calls of one user are limited. So a caller that sends a thousand calls delays only itself.

Pure: it decides which calls run. The waiting itself, until the deadline, is done by the calling code. Sources:
Michael Nygard, "Release It!"; resilience4j, "Bulkhead".
"""

from collections.abc import Hashable
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

W = TypeVar("W", bound=Hashable)


class Arrival(Enum):
    """What happens to a call that arrives: it runs, it waits, or it is refused."""

    RUN = "run"
    WAIT = "wait"
    FULL = "full"


class CallingParty(NamedTuple):
    """A caller whose calls take turns with those of other callers: a service, and the user for whom it calls.

    It is a tuple, because each call looks it up several times, and a data class would be hashed in Python each time.
    """

    service: str = ""
    user: str = ""

    @property
    def limited(self) -> bool:
        """Whether the calls of this caller are limited: those for a user are, those of a service for itself are not."""
        return bool(self.user)


ANYBODY = CallingParty()


class Bulkhead(Generic[W]):
    """Lets `running` calls run and `waiting` calls wait; of one user at most `user_running` and `user_waiting`.

    For each call that was let in, `leave` is called once. A waiting call is let in by the `leave` of another call,
    or it ends its wait with `give_up`.
    """

    def __init__(
        self, running: int = 256, waiting: int = 1024, user_running: int = 64, user_waiting: int = 256
    ) -> None:
        self._most_running, self._most_waiting = running, waiting
        self._user_running, self._user_waiting = user_running, user_waiting
        self._queues: dict[CallingParty, dict[W, None]] = {}
        """The waiting calls by caller, the callers in the order of their turns."""
        self._callers: dict[W, CallingParty] = {}
        self._held: dict[CallingParty, int] = {}
        self.running = 0
        self.refused = 0
        """Calls that were refused since this began."""

    @property
    def waiting(self) -> int:
        """The number of waiting calls."""
        return len(self._callers)

    def try_enter(self, caller: CallingParty = ANYBODY) -> bool:
        """Lets a call in if it may run at once; returns whether it was let in."""
        held = self._held.get(caller, 0)
        if self.running >= self._most_running or not self._may_run(caller, held):
            return False
        self.running += 1
        self._held[caller] = held + 1
        return True

    def arrive(self, waiter: W, caller: CallingParty = ANYBODY) -> Arrival:
        """Lets a call in, or queues it as `waiter`, or refuses it; returns which."""
        if self.try_enter(caller):
            return Arrival.RUN
        own = len(self._queues.get(caller, ()))
        if self.waiting >= self._most_waiting or (caller.limited and own >= self._user_waiting):
            self.refused += 1
            return Arrival.FULL
        self._queues.setdefault(caller, {})[waiter] = None
        self._callers[waiter] = caller
        return Arrival.WAIT

    def give_up(self, waiter: W) -> bool:
        """Takes `waiter` out of the queue; returns False if it was let in meanwhile, and so must `leave`."""
        if waiter not in self._callers:
            return False
        self._forget(waiter)
        return True

    def leave(self, caller: CallingParty = ANYBODY) -> W | None:
        """Records that a running call of `caller` has ended; returns the waiter that runs from now on, if any."""
        self.running -= 1
        held = self._held.pop(caller) - 1
        if held:
            self._held[caller] = held
        return self._let_in() if self._queues else None

    def _let_in(self) -> W | None:
        following = next((one for one in self._queues if self._may_run(one, self._held.get(one, 0))), None)
        if following is None:
            return None
        waiter = next(iter(self._queues[following]))
        self._forget(waiter)
        if following in self._queues:
            self._queues[following] = self._queues.pop(following)  # its next turn is after all others'
        self.try_enter(following)
        return waiter

    def _may_run(self, caller: CallingParty, held: int) -> bool:
        return held < self._user_running or not caller.limited

    def _forget(self, waiter: W) -> None:
        caller = self._callers.pop(waiter)
        queue = self._queues[caller]
        del queue[waiter]
        if not queue:
            del self._queues[caller]
