"""The states of a canary, and what leads from one to the next."""

from enum import Enum
from types import MappingProxyType

from souk.kernel.state_machine import StateMachine


class CanaryState(Enum):
    """Where a canary stands."""

    PLANNED = "planned"
    STARTING = "starting"
    STEPPING = "stepping"
    """The version gets its share of the calls."""
    HOLDING = "holding"
    """The same; it has not been good enough for the next step, or has had too few calls."""
    PAUSED = "paused"
    """The same; an operator lets it go no further. A breach still rolls it back."""
    PROMOTING = "promoting"
    """Its instances become the baseline."""
    PROMOTED = "promoted"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    FAILED = "failed"
    """It never got a call."""

    def __str__(self) -> str:
        return self.value


class CanaryEvent(Enum):
    """What happens to a canary."""

    BEGUN = "begun"
    READY = "ready"
    NOT_READY = "not ready"
    ADVANCED = "advanced"
    HELD = "held"
    PASSED = "passed"
    BREACHED = "breached"
    ALARMED = "alarmed"
    CRASHED = "crashed"
    REJECTED = "rejected"
    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"
    ADOPTED = "adopted"
    REMOVED = "removed"
    REMOVED_UNUSED = "removed unused"

    def __str__(self) -> str:
        return self.value


_S, _E = CanaryState, CanaryEvent
FINAL = frozenset((_S.PROMOTED, _S.ROLLED_BACK, _S.FAILED))
"""States in which nothing is left to be done."""
SHARING = frozenset((_S.STEPPING, _S.HOLDING, _S.PAUSED))
"""States in which the version gets calls, and is judged."""
_TURNED_BACK = (_E.BREACHED, _E.ALARMED, _E.CRASHED, _E.REJECTED, _E.ABORT)

_TABLE = {
    (_S.PLANNED, _E.BEGUN): _S.STARTING,
    (_S.PLANNED, _E.ABORT): _S.ROLLING_BACK,
    (_S.STARTING, _E.READY): _S.STEPPING,
    (_S.STARTING, _E.NOT_READY): _S.ROLLING_BACK,
    (_S.STARTING, _E.ABORT): _S.ROLLING_BACK,
    (_S.STEPPING, _E.ADVANCED): _S.STEPPING,
    (_S.HOLDING, _E.ADVANCED): _S.STEPPING,
    (_S.STEPPING, _E.HELD): _S.HOLDING,
    (_S.HOLDING, _E.HELD): _S.HOLDING,
    (_S.STEPPING, _E.PASSED): _S.PROMOTING,
    (_S.HOLDING, _E.PASSED): _S.PROMOTING,
    (_S.STEPPING, _E.PAUSE): _S.PAUSED,
    (_S.HOLDING, _E.PAUSE): _S.PAUSED,
    (_S.PAUSED, _E.RESUME): _S.STEPPING,
    **{(state, event): _S.ROLLING_BACK for state in sorted(SHARING, key=str) for event in _TURNED_BACK},
    **{(state, _E.PROMOTE): _S.PROMOTING for state in sorted(SHARING, key=str)},
    (_S.PROMOTING, _E.ADOPTED): _S.PROMOTED,
    (_S.ROLLING_BACK, _E.REMOVED): _S.ROLLED_BACK,
    (_S.ROLLING_BACK, _E.REMOVED_UNUSED): _S.FAILED,
}
CANARY = StateMachine("canary", _S.PLANNED, MappingProxyType(_TABLE))
"""The table of states."""
