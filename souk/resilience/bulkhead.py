"""Bulkhead: so many calls to one service run, so many wait, the rest is turned away; and callers take turns.

Who waits is let in by rounds over the callers (Nagle, RFC 970: fair queuing), each caller's own calls in order,
and a caller may be limited in what he holds. So one who sends a thousand calls delays himself.

Pure: it decides who runs; whoever waits does so elsewhere, until the deadline. Sources: Michael
Nygard, "Release It!"; resilience4j, "Bulkhead".
"""

from collections.abc import Hashable
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

W = TypeVar("W", bound=Hashable)


class Arrival(Enum):
    """What becomes of a call that arrives."""

    RUN = "run"
    WAIT = "wait"
    FULL = "full"


class CallingParty(NamedTuple):
    """Whose calls take turns with those of others. A `limited` one holds at most so many places at once.

    A tuple, for each call looks it up some times, and a data class would be hashed in Python each time.
    """

    service: str = ""
    user: str = ""

    @property
    def limited(self) -> bool:
        """A user is; a service that works for itself works for all."""
        return bool(self.user)


ANYBODY = CallingParty()


class Bulkhead(Generic[W]):
    """Lets `running` calls run and `waiting` calls wait, of one user at most `user_running` and `user_waiting`.

    Each call that was let in leaves once; each that waits is let in by somebody's `leave`, or gives up.
    """

    def __init__(
        self, running: int = 256, waiting: int = 1024, user_running: int = 64, user_waiting: int = 256
    ) -> None:
        self._most_running, self._most_waiting = running, waiting
        self._user_running, self._user_waiting = user_running, user_waiting
        self._queues: dict[CallingParty, dict[W, None]] = {}
        """Those who wait, by caller; the callers in the order of their turns."""
        self._callers: dict[W, CallingParty] = {}
        self._held: dict[CallingParty, int] = {}
        self.running = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._callers)

    def try_enter(self, caller: CallingParty = ANYBODY) -> bool:
        """Enters if there is room at once."""
        held = self._held.get(caller, 0)
        if self.running >= self._most_running or not self._may_run(caller, held):
            return False
        self.running += 1
        self._held[caller] = held + 1
        return True

    def arrive(self, waiter: W, caller: CallingParty = ANYBODY) -> Arrival:
        """Enters, or queues as `waiter`, or neither."""
        if self.try_enter(caller):
            return Arrival.RUN
        own = len(self._queues.get(caller, ()))
        if self.waiting >= self._most_waiting or (caller.limited and own >= self._user_waiting):
            return Arrival.FULL
        self._queues.setdefault(caller, {})[waiter] = None
        self._callers[waiter] = caller
        return Arrival.WAIT

    def give_up(self, waiter: W) -> bool:
        """No longer waits; false if `waiter` was let in meanwhile, and so has to leave."""
        if waiter not in self._callers:
            return False
        self._forget(waiter)
        return True

    def leave(self, caller: CallingParty = ANYBODY) -> W | None:
        """A running call of `caller` has ended. Returns who is let in for it: that one runs from now on."""
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
            self._queues[following] = self._queues.pop(following)  # its next turn comes after everybody's
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
