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
    """A breaker, and what it stands between: `method` says that it watches that one alone."""

    caller: str
    callee: str
    breaker: Breaker
    method: str = ""

    def meant(self, callee: str, caller: str) -> bool:
        """Whether it is one of those between `caller`, anybody if empty, and `callee`."""
        return self.callee == callee and caller in {"", self.caller}


class ModeOverrides:
    """What was ordered last, by callee and caller; what is for everybody is in place of what was for one."""

    def __init__(self) -> None:
        self._modes: dict[tuple[str, str], Mode] = {}

    def put(self, mode: Mode, callee: str, caller: str) -> None:
        """Remembers an order; an empty caller is everybody."""
        if not caller:
            self._modes = {pair: kept for pair, kept in self._modes.items() if pair[0] != callee}
        self._modes.pop((callee, caller), None)  # the later order comes last
        self._modes[callee, caller] = mode

    def __iter__(self) -> Iterator[tuple[Mode, str, str]]:
        return iter([(mode, callee, caller) for (callee, caller), mode in self._modes.items()])


class Breakers:
    """The breakers of one process. What is set stays for those that are made later."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guards: dict[tuple[str, str, str], Guard] = {}
        self._overrides = ModeOverrides()

    def add(self, caller: str, callee: str, breaker: Breaker, *, method: str = "") -> Breaker:
        """Shows a breaker from now on, in place of another between the same; gives it back."""
        guard = Guard(caller, callee, breaker, method)
        self._guards[caller, callee, method] = guard
        for mode, ordered, by in self._overrides:
            if guard.meant(ordered, by):
                self._put(guard, mode)
        return breaker

    def __iter__(self) -> Iterator[Guard]:
        return iter([self._guards[key] for key in sorted(self._guards)])

    def set(self, mode: Mode, callee: str, caller: str = "") -> list[Guard]:
        """Sets every breaker between `caller`, anybody if empty, and `callee`; gives those that there are."""
        self._overrides.put(mode, callee, caller)
        found = [guard for guard in self if guard.meant(callee, caller)]
        for guard in found:
            self._put(guard, mode)
        return found

    def _put(self, guard: Guard, mode: Mode) -> None:
        if mode in _SET:
            _SET[mode](guard.breaker, self._clock.monotonic())
        elif guard.breaker.state in _HELD:
            guard.breaker.reset(self._clock.monotonic())
