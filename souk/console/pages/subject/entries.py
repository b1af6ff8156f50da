"""What was recorded of a subject, as entries in the order of time, and how things stood at a moment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from soukapi.v1 import records_pb2, sagas_pb2

_ENDED = frozenset({"completed", "compensated"})
_BAD = ("parked", "refused", "REJECTED", "DECLINED", "VOIDED", "undo", "cancelled", "late")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was recorded; `at` is in microseconds since 1970.

    `state_of` is what this is a state of: it was so until the next entry of the same. Empty for what only happened.
    """

    at: int
    service: str
    kind: str
    what: str
    detail: str
    tone: str
    state_of: str = ""


def entries_of(
    found: records_pb2.ReadRecordsResponse,
    runs: Sequence[sagas_pb2.SagaRun],
    acted: sagas_pb2.ListSagaActionsResponse,
) -> list[Entry]:
    """Returns everything that was recorded, in the order of time."""
    entries = [*map(_recorded, found.records), *map(_acted, acted.actions), *map(_came, acted.messages)]
    for run in runs:
        entries += _run(run)
    return sorted(entries, key=lambda one: one.at)


def states_at(entries: Sequence[Entry], at: int) -> list[Entry]:
    """Returns how things stood at a moment: of everything that has states, the last one until then."""
    last = {(one.service, one.kind, one.state_of): one for one in entries if one.state_of and one.at <= at}
    return sorted(last.values(), key=lambda one: (one.service, one.kind, one.at))


def _recorded(one: records_pb2.SubjectRecord) -> Entry:
    tone = _tone(f"{one.what} {one.detail}")
    return Entry(one.at.ToMicroseconds(), one.service, one.kind, one.what, one.detail, tone, one.state_of)


def _run(run: sagas_pb2.SagaRun) -> Iterator[Entry]:
    about = f"{run.saga}, attempt {run.attempt}"
    yield Entry(run.started_at.ToMicroseconds(), "saga", "run", f"{run.saga} began", about, "off", run.id)
    if run.state in _ENDED:
        why = f": {run.reason} at {run.refused_step}" if run.refused_step else ""
        tone = "good" if run.state == "completed" else "bad"
        yield Entry(
            run.changed_at.ToMicroseconds(), "saga", "run", f"{run.saga} {run.state}", about + why, tone, run.id
        )
    for step in run.steps:
        of = f"{run.id} {step.name}"
        if not step.changes:
            detail = f"{about}{_tries(step)}; when it came to this was not kept"
            yield _step(step.changed_at.ToMicroseconds(), step.name, step, detail, of)
        for change in step.changes:
            yield _step(change.at.ToMicroseconds(), step.name, change, f"{about}{_tries(change)}", of)


def _step(
    at: int, name: str, change: sagas_pb2.SagaRunStep | sagas_pb2.SagaRunStepChange, detail: str, of: str
) -> Entry:
    state = change.state.replace("_", " ")
    begins = change.state in ("trying", "undoing") and not change.tries
    what = f"{name}: {'its undo begins' if state == 'undoing' else 'begins'}" if begins else f"{name}: {state}"
    return Entry(at, "saga", "step", what, detail, "off" if begins and state == "trying" else _tone(state), of)


def _tries(change: sagas_pb2.SagaRunStep | sagas_pb2.SagaRunStepChange) -> str:
    tries = f"{change.tries} {'try' if change.tries == 1 else 'tries'}" if change.tries else ""
    return "".join(f": {one}" for one in (tries, change.note) if one)


def _acted(one: sagas_pb2.SagaRunAction) -> Entry:
    what = f"{one.action} {one.step}".strip()
    return Entry(one.at.ToMicroseconds(), "saga", "operator", what, f"{one.operator}: {one.why}", "warn")


def _came(one: sagas_pb2.SagaRunMessage) -> Entry:
    what = f"{one.message} {one.key}: {one.fate}"
    return Entry(one.received_at.ToMicroseconds(), "saga", "message", what, one.message_id, _tone(one.fate))


def _tone(text: str) -> str:
    return "bad" if any(word in text for word in _BAD) else "good"
