"""The drives of a run, and the tries of its steps, as spans.

All drives of a run are in one trace, that of the request which began it, because the run keeps its `traceparent`. A
drive after a crash says that it was resumed; one after a wait, what ended it, with a link to the trace of the message.
The drives of a later attempt have a link to the trace of the attempt before.
"""

from contextlib import AbstractContextManager

from souk.kernel.errors import Outcome
from souk.saga.fault_points import UNDO
from souk.saga.run import Held, StepAnswer
from souk.telemetry.tracing.span import AttributeValue, Span
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.work import UNTRACED, recorded

_FIRST_EPOCH = 1


def traced_drive(tracer: Tracer | None, held: Held) -> AbstractContextManager[Span | None]:
    """Gives the block in which one process drives a run."""
    if tracer is None:
        return UNTRACED
    attributes, news = _about(held), held.news
    if news is not None and (news.due or news.message is not None):
        attributes["souk.saga.woken_by"] = "time" if news.message is None else "message"
    elif held.epoch > _FIRST_EPOCH:
        attributes["souk.saga.resumed"] = True
    causes = (held.previous, news.traceparent if news is not None else "")
    links = tuple(cause for cause in causes if cause)
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
    """Notes how a try ended."""
    note_outcome(span, "souk.saga.outcome", answer, undone=what == UNDO)


def note_outcome(span: Span | None, attribute: str, answer: StepAnswer, *, undone: bool) -> None:
    """Notes a participant's answer, its outcome as `attribute`. A trace in which something is `undone`, or not known,
    is worth keeping."""
    if span is None:
        return
    span.attributes[attribute] = answer.outcome.value
    if undone:
        span.reason = "compensated"
    if answer.outcome is not Outcome.DONE:
        error = answer.outcome.value if answer.refusal is None else answer.refusal.reason
        span.end(error, expected=answer.outcome is Outcome.REFUSED)


def _about(held: Held) -> dict[str, AttributeValue]:
    ref = held.ref
    return {"souk.saga.name": ref.name, "souk.saga.subject": ref.subject, "souk.saga.attempt": ref.attempt}
