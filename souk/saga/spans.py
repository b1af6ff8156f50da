"""The spans of a saga: one for each drive of a run, and under it one for each try of a step or an undo.

All drives of a run are in one trace, that of the request which began it, because the run keeps its `traceparent`. A
drive after a crash has a link to what began the run, too, and says that it was resumed.
"""

from contextlib import AbstractContextManager

from souk.kernel.errors import Outcome
from souk.saga.fault_points import UNDO
from souk.saga.run import StepAnswer
from souk.saga.store import Held
from souk.telemetry.traces import is_plain
from souk.telemetry.tracing.span import AttributeValue, Span
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.work import UNTRACED, recorded

_FIRST_EPOCH = 1


def traced_drive(tracer: Tracer | None, held: Held) -> AbstractContextManager[Span | None]:
    """Gives the block in which one process drives a run."""
    if tracer is None:
        return UNTRACED
    attributes = _about(held)
    resumed = held.epoch > _FIRST_EPOCH
    if resumed:
        attributes["souk.saga.resumed"] = True
    links = (held.traceparent,) if resumed and is_plain(held.traceparent) else ()
    return recorded(tracer, f"saga {held.ref.name}", attributes=attributes, links=links)


def traced_step(
    tracer: Tracer | None, held: Held, step: str, what: str, tries: int
) -> AbstractContextManager[Span | None]:
    """Gives the block of one try of a step, or of its undo. `tries` counts those before it."""
    if tracer is None:
        return UNTRACED
    attributes: dict[str, AttributeValue] = {**_about(held), "souk.saga.step": step, "souk.resend_count": tries}
    return recorded(tracer, f"{'undo' if what == UNDO else 'step'} {step}", attributes=attributes)


def note_answer(span: Span | None, what: str, answer: StepAnswer) -> None:
    """Notes how a try ended. A trace in which something is undone, or not known, is worth keeping."""
    if span is None:
        return
    span.attributes["souk.saga.outcome"] = answer.outcome.value
    if what == UNDO:
        span.reason = "compensated"
    if answer.outcome is not Outcome.DONE:
        span.end(answer.refusal.reason if answer.refusal is not None else answer.outcome.value,
                 expected=answer.outcome is Outcome.REFUSED)  # fmt: skip


def _about(held: Held) -> dict[str, AttributeValue]:
    ref = held.ref
    return {"souk.saga.name": ref.name, "souk.saga.subject": ref.subject, "souk.saga.attempt": ref.attempt}
