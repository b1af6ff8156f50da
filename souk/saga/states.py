"""The two state machines of a saga, as tables: one for a step, one for the run."""

from enum import StrEnum

from souk.kernel.state_machine import StateMachine


class StepState(StrEnum):
    """The state of a step."""

    WAITING = "waiting"
    """It has not begun."""
    AWAITING = "awaiting"
    """It has begun to wait for a message or for a time; nobody works on the run meanwhile."""
    WAIT_PARKED = "wait_parked"
    """The end of its wait could not be recorded; waits for an operator."""
    TRYING = "trying"
    """Registered, so that it will be undone if need be; no try has ended yet, or none was sent."""
    DOUBTFUL = "doubtful"
    """A try ended without an answer: it may have taken effect, or may still do so."""
    DONE = "done"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    PARKED = "parked"
    """Refused after the pivot, or its result could not be recorded; waits for an operator."""
    UNDOING = "undoing"
    UNDO_PARKED = "undo_parked"
    """Its undo failed too often; waits for an operator."""
    UNDONE = "undone"


class StepEvent(StrEnum):
    """What happens to a step."""

    REGISTER = "register"
    AWAIT = "await"
    DONE = "done"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"
    """Refused for good after the pivot, or its result could not be recorded."""
    DELAYED = "delayed"
    """Not sent, or refused for now, after the pivot."""
    TAKE_BACK = "take_back"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"
    PARK = "park"
    RETRY = "retry"
    RESOLVE = "resolve"
    """An operator has seen to it by hand."""


STEP = StateMachine[StepState, StepEvent](
    "saga step",
    StepState.WAITING,
    {
        (StepState.WAITING, StepEvent.REGISTER): StepState.TRYING,
        (StepState.WAITING, StepEvent.DONE): StepState.DONE,
        (StepState.WAITING, StepEvent.AWAIT): StepState.AWAITING,
        (StepState.AWAITING, StepEvent.DONE): StepState.DONE,
        (StepState.AWAITING, StepEvent.REFUSED): StepState.REFUSED,
        (StepState.AWAITING, StepEvent.BLOCKED): StepState.WAIT_PARKED,
        (StepState.AWAITING, StepEvent.RESOLVE): StepState.DONE,
        (StepState.AWAITING, StepEvent.TAKE_BACK): StepState.UNDONE,
        (StepState.WAIT_PARKED, StepEvent.RETRY): StepState.AWAITING,
        (StepState.WAIT_PARKED, StepEvent.RESOLVE): StepState.DONE,
        (StepState.WAIT_PARKED, StepEvent.TAKE_BACK): StepState.UNDONE,
        (StepState.TRYING, StepEvent.DONE): StepState.DONE,
        (StepState.TRYING, StepEvent.REFUSED): StepState.REFUSED,
        (StepState.TRYING, StepEvent.NOT_SENT): StepState.NOT_SENT,
        (StepState.TRYING, StepEvent.UNKNOWN): StepState.DOUBTFUL,
        (StepState.TRYING, StepEvent.BLOCKED): StepState.PARKED,
        (StepState.TRYING, StepEvent.DELAYED): StepState.TRYING,
        (StepState.TRYING, StepEvent.TAKE_BACK): StepState.UNDOING,
        (StepState.DOUBTFUL, StepEvent.DONE): StepState.DONE,
        (StepState.DOUBTFUL, StepEvent.REFUSED): StepState.UNDOING,
        (StepState.DOUBTFUL, StepEvent.NOT_SENT): StepState.DOUBTFUL,
        (StepState.DOUBTFUL, StepEvent.UNKNOWN): StepState.DOUBTFUL,
        (StepState.DOUBTFUL, StepEvent.BLOCKED): StepState.PARKED,
        (StepState.DOUBTFUL, StepEvent.DELAYED): StepState.DOUBTFUL,
        (StepState.DOUBTFUL, StepEvent.TAKE_BACK): StepState.UNDOING,
        (StepState.PARKED, StepEvent.RETRY): StepState.DOUBTFUL,
        (StepState.PARKED, StepEvent.RESOLVE): StepState.DONE,
        (StepState.PARKED, StepEvent.TAKE_BACK): StepState.UNDOING,
        (StepState.DONE, StepEvent.TAKE_BACK): StepState.UNDOING,
        (StepState.UNDOING, StepEvent.UNDONE): StepState.UNDONE,
        (StepState.UNDOING, StepEvent.UNDO_FAILED): StepState.UNDOING,
        (StepState.UNDOING, StepEvent.PARK): StepState.UNDO_PARKED,
        (StepState.UNDO_PARKED, StepEvent.RETRY): StepState.UNDOING,
        (StepState.UNDO_PARKED, StepEvent.RESOLVE): StepState.UNDONE,
    },
)


class Phase(StrEnum):
    """The phase of a run as a whole."""

    RUNNING = "running"
    TURNED_BACK = "turned_back"
    REJECTED = "rejected"
    """The rejection is committed; undos may still be open."""
    COMMITTED = "committed"
    """The pivot is passed; steps may still be open."""
    COMPENSATED = "compensated"
    COMPLETED = "completed"


class PhaseEvent(StrEnum):
    """What happens to a run."""

    PIVOT = "pivot"
    TURN_BACK = "turn_back"
    SETTLED = "settled"
    ALL_DONE = "all_done"
    ALL_UNDONE = "all_undone"


RUN = StateMachine[Phase, PhaseEvent](
    "saga run",
    Phase.RUNNING,
    {
        (Phase.RUNNING, PhaseEvent.PIVOT): Phase.COMMITTED,
        (Phase.RUNNING, PhaseEvent.TURN_BACK): Phase.TURNED_BACK,
        (Phase.TURNED_BACK, PhaseEvent.SETTLED): Phase.REJECTED,
        (Phase.REJECTED, PhaseEvent.ALL_UNDONE): Phase.COMPENSATED,
        (Phase.COMMITTED, PhaseEvent.ALL_DONE): Phase.COMPLETED,
    },
)


def diagram() -> str:
    """Returns both tables as Mermaid diagrams."""
    return f"%% a run\n{RUN.diagram()}\n\n%% a step\n{STEP.diagram()}\n"
