"""The breaker's states, the table of its transitions, its events and its snapshots."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from souk.kernel.state_machine import StateMachine


class State(Enum):
    """What a breaker does with calls."""

    CLOSED = "closed"
    """Lets all calls through, and measures them."""
    OPEN = "open"
    """Refuses all calls until its interval is over."""
    HALF_OPEN = "half open"
    """Lets a few calls through, and decides by their results."""
    DISABLED = "disabled"
    """Lets all calls through, and measures nothing."""
    FORCED_OPEN = "forced open"
    """Refuses all calls until an operator changes the state."""
    METRICS_ONLY = "metrics only"
    """Lets all calls through, measures them, and never opens."""

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
    """The kinds of events that a breaker sends to its listeners."""

    CHANGED = "changed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IGNORED = "ignored"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class BreakerEvent:
    """Something that happened at the time `at`; `trigger` and `before` (the old state) belong to a change of state."""

    kind: Kind
    at: float
    state: State
    trigger: Trigger | None = None
    before: State | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a breaker and its numbers at one time. The rates are None until `minimum_calls` are in the window.

    `refused` counts the refused calls since the breaker was made; `outstanding` is the number of probes under way.
    `since` is when it entered its state, None if it has never changed it; `until` is when an open breaker's interval
    ends, None in any other state.
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
    """The permission to make one call. `took` is how long the call took, in seconds."""

    def succeed(self, now: float, took: float = 0.0) -> None:
        """Records that the callee answered."""
        ...

    def fail(self, now: float, took: float = 0.0) -> None:
        """Records that the callee failed."""
        ...

    def ignore(self, now: float) -> None:
        """Records that the call's end says nothing about the callee."""
        ...
