"""The breakers of a process, by who calls whom, for those who look at them and set them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from souk.kernel.clock import Clock
from souk.resilience.breaker import Breaker, State


class Mode(Enum):
    """What an operator wants of a breaker."""

    AUTO = "auto"
    """Judges calls again, as it does by itself; one that does so already is left as it is."""
    CLOSED = "closed"
    """Closes, forgets what it saw, and judges calls from then on."""
    DISABLED = "disabled"
    """Lets everything through until told otherwise."""
    FORCED_OPEN = "open"
    """Refuses everything until told otherwise."""
    METRICS_ONLY = "metrics-only"
    """Only measures until told otherwise."""


_HELD = frozenset({State.DISABLED, State.FORCED_OPEN, State.METRICS_ONLY})
_SET: Mapping[Mode, Callable[[Breaker, float], None]] = MappingProxyType(
    {
        Mode.CLOSED: Breaker.reset,
        Mode.DISABLED: Breaker.disable,
        Mode.FORCED_OPEN: Breaker.force_open,
        Mode.METRICS_ONLY: Breaker.observe,
    }
)


@dataclass(frozen=True, slots=True)
class Guard:
    """A breaker, and what it stands between: `method` and `instance` say that it watches that one alone."""

    caller: str
    callee: str
    breaker: Breaker
    method: str = ""
    instance: str = ""

    def meant(self, callee: str, caller: str) -> bool:
        """Whether it is one of those between `caller`, anybody if empty, and `callee`."""
        return self.callee == callee and caller in {"", self.caller}


class Breakers:
    """The breakers of one process. What is set stays for those that are made later."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guards: dict[tuple[str, str, str, str], Guard] = {}
        self._orders: dict[tuple[str, str], Mode] = {}

    def add(self, caller: str, callee: str, breaker: Breaker, *, method: str = "", instance: str = "") -> Breaker:
        """Shows a breaker from now on, in place of another between the same; gives it back."""
        guard = Guard(caller, callee, breaker, method, instance)
        self._guards[caller, callee, method, instance] = guard
        for (ordered, by), mode in self._orders.items():
            if guard.meant(ordered, by):
                self._put(guard, mode)
        return breaker

    def drop(self, caller: str, callee: str, *, method: str = "", instance: str = "") -> None:
        """Shows it no longer, if it was shown."""
        self._guards.pop((caller, callee, method, instance), None)

    def __iter__(self) -> Iterator[Guard]:
        return iter([self._guards[place] for place in sorted(self._guards)])

    def set(self, mode: Mode, callee: str, caller: str = "") -> list[Guard]:
        """Sets every breaker between `caller`, anybody if empty, and `callee`; gives those that there are."""
        self._remember(mode, callee, caller)
        found = [guard for guard in self if guard.meant(callee, caller)]
        for guard in found:
            self._put(guard, mode)
        return found

    def _remember(self, mode: Mode, callee: str, caller: str) -> None:
        if not caller:  # it is for everybody, and so in place of what was said of one
            self._orders = {order: said for order, said in self._orders.items() if order[0] != callee}
        self._orders.pop((callee, caller), None)  # the later order is the one that counts
        self._orders[callee, caller] = mode

    def _put(self, guard: Guard, mode: Mode) -> None:
        if mode in _SET:
            _SET[mode](guard.breaker, self._clock.monotonic())
        elif guard.breaker.state in _HELD:
            guard.breaker.reset(self._clock.monotonic())
