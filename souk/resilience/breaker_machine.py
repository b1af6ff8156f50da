"""The breaker's states, the table of its transitions, and what it tells of itself."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from souk.kernel.state_machine import StateMachine


class State(Enum):
    """What a breaker does with calls."""

    CLOSED = "closed"
    """Lets all through, and watches."""
    OPEN = "open"
    """Refuses all until its time is over."""
    HALF_OPEN = "half open"
    """Lets a few through, and judges by them."""
    DISABLED = "disabled"
    """Lets all through, and watches nothing."""
    FORCED_OPEN = "forced open"
    """Refuses all until it is told otherwise."""
    METRICS_ONLY = "metrics only"
    """Lets all through, watches, and never opens."""

    def __str__(self) -> str:
        return self.name


class Trigger(Enum):
    """What moves a breaker from state to state."""

    TRIP = "rate reached"
    WAITED = "open interval over"
    RECOVERED = "probes fine"
    GAVE_UP = "half open too long"
    RESET = "reset"
    DISABLE = "disable"
    FORCE_OPEN = "force open"
    OBSERVE = "metrics only"

    def __str__(self) -> str:
        return self.value


MACHINE: StateMachine[State, Trigger] = StateMachine(
    "breaker",
    State.CLOSED,
    {
        (State.CLOSED, Trigger.TRIP): State.OPEN,
        (State.OPEN, Trigger.WAITED): State.HALF_OPEN,
        (State.HALF_OPEN, Trigger.RECOVERED): State.CLOSED,
        (State.HALF_OPEN, Trigger.TRIP): State.OPEN,
        (State.HALF_OPEN, Trigger.GAVE_UP): State.OPEN,
        **{(state, Trigger.RESET): State.CLOSED for state in State},
        **{(state, Trigger.DISABLE): State.DISABLED for state in State},
        **{(state, Trigger.FORCE_OPEN): State.FORCED_OPEN for state in State},
        **{(state, Trigger.OBSERVE): State.METRICS_ONLY for state in State},
    },
)


class Kind(Enum):
    """What a breaker tells its listeners."""

    CHANGED = "changed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IGNORED = "ignored"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class BreakerEvent:
    """Something that happened `at`; `trigger` and `before` tell of a change of state."""

    kind: Kind
    at: float
    state: State
    trigger: Trigger | None = None
    before: State | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Numbers of now. The rates are None until `minimum_calls` are in the window.

    `refused` counts since the breaker was made; `outstanding` are the probes under way. It is in its state
    `since` that moment, None for since it was made; open `until` that one.
    """

    state: State
    calls: int
    failed: int
    slow: int
    failure_rate: float | None
    slow_rate: float | None
    refused: int
    outstanding: int
    since: float | None
    until: float | None


class Permit(Protocol):
    """Leave to make one call. `took` is how long it took, in seconds."""

    def succeed(self, now: float, took: float = 0.0) -> None:
        """The callee answered."""
        ...

    def fail(self, now: float, took: float = 0.0) -> None:
        """The callee failed."""
        ...

    def ignore(self, now: float) -> None:
        """It says nothing about the callee."""
        ...
