"""The drives of a two-phase commit, and what is asked of its participants, as spans.

All drives of a run are in one trace, that of the request which began it, as with sagas.
"""

from contextlib import AbstractContextManager

from souk.saga.driving.spans import note_outcome
from souk.saga.run import StepAnswer
from souk.telemetry.tracing.span import AttributeValue, Span
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.work import UNTRACED, recorded
from souk.two_phase_commit.fault_points import ROLL_BACK
from souk.two_phase_commit.store import TwoPhaseHeld

_OUTCOME = "souk.two_phase_commit.outcome"


def traced_drive(tracer: Tracer | None, held: TwoPhaseHeld, *, resumed: bool) -> AbstractContextManager[Span | None]:
    """Gives the block in which one process drives a run; `resumed` says that another one has left it."""
    if tracer is None:
        return UNTRACED
    attributes = _about(held)
    if resumed:
        attributes["souk.two_phase_commit.resumed"] = True
    return recorded(tracer, f"two-phase commit {held.ref.name}", attributes=attributes)


def traced_participation(
    tracer: Tracer | None, held: TwoPhaseHeld, branch: str, what: str
) -> AbstractContextManager[Span | None]:
    """Gives the block in which a participant is asked to prepare, to commit or to roll back."""
    if tracer is None:
        return UNTRACED
    return recorded(tracer, f"{what} {branch}", attributes={**_about(held), "souk.two_phase_commit.branch": branch})


def note_vote(span: Span | None, what: str, answer: StepAnswer) -> None:
    """Notes what a participant has answered. A trace in which something is rolled back, or unknown, is to be kept."""
    note_outcome(span, _OUTCOME, answer, undone=what == ROLL_BACK)


def _about(held: TwoPhaseHeld) -> dict[str, AttributeValue]:
    ref = held.ref
    return {
        "souk.two_phase_commit.name": ref.name,
        "souk.two_phase_commit.subject": ref.subject,
        "souk.two_phase_commit.attempt": ref.attempt,
    }
