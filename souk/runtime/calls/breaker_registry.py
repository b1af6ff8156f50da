"""The breakers of a process, by caller and callee, for operators who list and set them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from souk.kernel.clock import Clock
from souk.resilience.breaker.breaker import Breaker, State


class Mode(Enum):
    """The mode in which an operator puts a breaker."""

    AUTO = "auto"
    """Opens and closes by itself again; a breaker that does so already is left as it is."""
    CLOSED = "closed"
    """Closes, forgets the calls that it has measured, and opens and closes by itself from then on."""
    DISABLED = "disabled"
    """Lets every call through until the mode is set again."""
    FORCED_OPEN = "open"
    """Refuses every call until the mode is set again."""
    METRICS_ONLY = "metrics-only"
    """Measures calls and refuses none until the mode is set again."""


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
    """A breaker with its caller and its callee; it watches one `method` alone, or all of them if that is empty."""

    caller: str
    callee: str
    breaker: Breaker
    method: str = ""

    def meant(self, callee: str, caller: str) -> bool:
        """Tells whether it is a breaker between `caller` (any caller if empty) and `callee`."""
        return self.callee == callee and caller in {"", self.caller}


class ModeOverrides:
    """The mode set last, by callee and caller; a mode for all callers replaces those for single callers."""

    def __init__(self) -> None:
        self._modes: dict[tuple[str, str], Mode] = {}

    def put(self, mode: Mode, callee: str, caller: str) -> None:
        """Remembers a mode; an empty caller means all callers."""
        if not caller:
            self._modes = {pair: kept for pair, kept in self._modes.items() if pair[0] != callee}
        self._modes.pop((callee, caller), None)  # the later order comes last
        self._modes[callee, caller] = mode

    def __iter__(self) -> Iterator[tuple[Mode, str, str]]:
        return iter([(mode, callee, caller) for (callee, caller), mode in self._modes.items()])


class Breakers:
    """The breakers of one process. A mode that is set applies to breakers that are made later, too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guards: dict[tuple[str, str, str], Guard] = {}
        self._overrides = ModeOverrides()

    def add(self, caller: str, callee: str, breaker: Breaker, *, method: str = "") -> Breaker:
        """Adds a breaker, in place of one with the same caller, callee and method, and returns it."""
        guard = Guard(caller, callee, breaker, method)
        self._guards[caller, callee, method] = guard
        for mode, ordered, by in self._overrides:
            if guard.meant(ordered, by):
                self._put(guard, mode)
        return breaker

    def remove(self, caller: str, callee: str) -> None:
        """Forgets the breakers between a caller and a callee; a mode that was set stays for later ones."""
        self._guards = {key: guard for key, guard in self._guards.items() if key[:2] != (caller, callee)}

    def __iter__(self) -> Iterator[Guard]:
        return iter([self._guards[key] for key in sorted(self._guards)])

    def set(self, mode: Mode, callee: str, caller: str = "") -> list[Guard]:
        """Sets the mode of every breaker from `caller` (any caller if empty) to `callee`; returns those breakers."""
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
