"""The saga machine: pure functions that decide from a recorded run what to do next.

The rules that pick the events of the tables in `souk.saga.states`:

- REFUSED before the pivot turns the saga back. After the pivot the step cannot be given up: it is tried again
  if the refusal is not final; it is parked if the refusal is final or the tries are exhausted.
- NOT_SENT before the pivot turns the saga back, and that step has nothing to undo. After the pivot the step is
  tried again.
- UNKNOWN leaves the step in doubt. It is tried again under the same key until the answer is definite; if the
  deadline passes first, it is undone. A refusal of a step in doubt is undone as well: an earlier
  try may still be under way, and only the undo blocks it.
- A step that waits ends by its message, or by the end of its time. No time of the run's deadline passes meanwhile.
- Undos are independent. REJECTED is committed once every undo that it waits for is acknowledged.

The functions read no clock and do no I/O: `late` says that the deadline has passed, `due` that the time of a wait is
over, and each returns what to write as a Decision. The state alone determines what is to be done (`to_do`, `to_undo`,
`awaiting`), so a replica that reads it from the database goes on exactly as the one that wrote it.
"""

from dataclasses import replace

from souk.kernel.errors import Outcome
from souk.saga.definition import Refusal, Saga
from souk.saga.draft import DEADLINE_EXCEEDED, Draft, too_late
from souk.saga.run import ASKING, PARKED, Decision, Run, StepAnswer, StepRun
from souk.saga.states import RUN, STEP, Phase, PhaseEvent, StepEvent, StepState
from souk.saga.waits import end_of_wait

__all__ = ["DEADLINE_EXCEEDED"]

OPERATOR_DECIDED = "OPERATOR_DECIDED"
"""The reason of a run that an operator turned back."""

_BEFORE_PIVOT = {
    Outcome.DONE: StepEvent.DONE,
    Outcome.REFUSED: StepEvent.REFUSED,
    Outcome.NOT_SENT: StepEvent.NOT_SENT,
    Outcome.UNKNOWN: StepEvent.UNKNOWN,
}
_RESOLVABLE = frozenset({StepState.PARKED, StepState.AWAITING, StepState.WAIT_PARKED})
_AFTER_PIVOT = _BEFORE_PIVOT | {Outcome.REFUSED: StepEvent.BLOCKED, Outcome.NOT_SENT: StepEvent.DELAYED}


def begin(saga: Saga) -> Decision:
    """Decides the first record of a run: its first call is registered before it is made."""
    draft = Draft(saga, Run(Phase.RUNNING, tuple(StepRun() for _ in saga.steps)))
    if saga.forward_only:
        draft.phase = RUN.next(draft.phase, PhaseEvent.PIVOT)
    draft.go_on(late=False)
    return draft.decision()


def answered(
    saga: Saga, run: Run, index: int, answer: StepAnswer, *, late: bool, tries_exhausted: bool = False
) -> Decision:
    """Decides after a try of the step at `index`; `tries_exhausted` says that its limit of tries is reached.

    The answer of a step that is no longer tried, because one beside it turned the run back, decides nothing: its undo
    is under way, or done.
    """
    draft = Draft(saga, run)
    if saga.steps[index].beside and run.steps[index].state not in ASKING:
        return Decision(run)
    event = _event(run, answer, tries_exhausted=tries_exhausted)
    if event is StepEvent.DONE:
        draft.done(index, event, tried=1, result=answer.result)
        draft.go_on(late=late)
        return draft.decision()
    refusal = answer.refusal or Refusal(saga.steps[index].name, answer.outcome.name)
    draft.step(index, event, tried=1, sent=_sent(answer), note=refusal.reason)
    if run.phase is Phase.RUNNING:
        if draft.steps[index].state is not StepState.DOUBTFUL:
            draft.turn_back(refusal)
        elif late:
            draft.turn_back(too_late(refusal.step))
    return draft.decision()


def woken(saga: Saga, run: Run, index: int, message: bytes | None, *, due: bool, late: bool) -> Decision:
    """Decides about the step at `index`, which waits, when its message is there or its time is over.

    A message that is there counts, whatever the time, because it came in time. If neither is so, the wait goes on.
    Raises what the step's `check` raises, except a DomainError: that refuses the step.
    """
    answer = end_of_wait(saga.steps[index], message, due=due)
    if answer is None or run.awaiting != index:
        return Decision(run)
    draft = Draft(saga, run)
    if answer.refusal is None:
        draft.done(index, StepEvent.DONE, result=answer.result)
        draft.go_on(late=late)
        return draft.decision()
    draft.step(index, StepEvent.REFUSED, note=answer.refusal.reason)
    draft.turn_back(answer.refusal)
    return draft.decision()


def exhausts_tries(run: Run, index: int, answer: StepAnswer, limit: int) -> bool:
    """Whether this try of the step at `index` was sent, and is the last of `limit` such tries."""
    return _sent(answer) > 0 and run.steps[index].sent + 1 >= limit


def _sent(answer: StepAnswer) -> int:
    return 0 if answer.outcome is Outcome.NOT_SENT else 1


def _event(run: Run, answer: StepAnswer, *, tries_exhausted: bool) -> StepEvent:
    if run.phase is Phase.RUNNING:
        return _BEFORE_PIVOT[answer.outcome]
    final = answer.refusal is not None and answer.refusal.final
    if answer.outcome is Outcome.REFUSED and not final and not tries_exhausted:
        return StepEvent.DELAYED
    return _AFTER_PIVOT[answer.outcome]


def deadline_passed(saga: Saga, run: Run) -> Decision:
    """Decides when the deadline passes before the pivot: the steps in doubt are undone with the others."""
    if run.phase is Phase.TURNED_BACK:
        return Decision(run)  # by a step beside the one that found it
    draft = Draft(saga, run)
    draft.turn_back(too_late(saga.steps[min(run.to_do, default=run.awaiting or 0)].name))
    return draft.decision()


def undone(saga: Saga, run: Run, index: int) -> Decision:
    """Decides after the undo of the step at `index` was acknowledged."""
    draft = Draft(saga, run)
    draft.step(index, StepEvent.UNDONE, tried=1, sent=1)
    return draft.decision()


def undo_failed(saga: Saga, run: Run, index: int, answer: StepAnswer, *, tries_exhausted: bool) -> Decision:
    """Decides after the undo of the step at `index` failed; with `tries_exhausted` it waits for an operator."""
    draft = Draft(saga, run)
    note = answer.refusal.reason if answer.refusal else ""
    event = StepEvent.PARK if tries_exhausted else StepEvent.UNDO_FAILED
    draft.step(index, event, tried=1, sent=_sent(answer), note=note)
    return draft.decision()


def not_recorded(saga: Saga, run: Run, index: int, note: str, *, tries: int) -> Decision:
    """Parks the step at `index`, as its result could not be recorded in `tries` tries.

    Nothing else is decided, and no hook is called. A retry calls the participant again.
    """
    draft = Draft(saga, run)
    undoing = run.steps[index].state is StepState.UNDOING
    draft.step(index, StepEvent.PARK if undoing else StepEvent.BLOCKED, tried=tries, note=note)
    return draft.decision()


def resumed(saga: Saga, run: Run) -> Run:
    """Returns the run for a new owner: each step under way becomes DOUBTFUL, as its last try may have been made."""
    draft = Draft(saga, run)
    for index in run.to_do:
        draft.step(index, StepEvent.UNKNOWN)
    return draft.decision().run


def compensated(saga: Saga, run: Run, why: str) -> Decision:
    """Decides when an operator turns a run back; a run that is no longer before its pivot stays as it is."""
    draft = Draft(saga, run)
    if run.phase is Phase.RUNNING:
        open_steps = (index for index, step in enumerate(run.steps) if step.state is not StepState.DONE)
        draft.turn_back(Refusal(saga.steps[next(open_steps)].name, OPERATOR_DECIDED, why))
    return draft.decision()


def resolved(saga: Saga, run: Run, step: str, *, late: bool) -> Decision:
    """Decides when an operator has seen to a step by hand that is parked or waits; to all of them if `step` is empty.

    Such a step counts as done, without a result, and a parked undo as undone.
    """
    draft = Draft(saga, run)
    chosen = [index for index, one in enumerate(saga.steps) if step in ("", one.name)]
    for index in chosen:
        if run.steps[index].state is StepState.UNDO_PARKED:
            draft.step(index, StepEvent.RESOLVE)
        elif run.steps[index].state in _RESOLVABLE:
            draft.done(index, StepEvent.RESOLVE)
    if draft.records:
        draft.go_on(late=late)
    return draft.decision()


def retried(run: Run) -> Run:
    """Returns the run after an operator's retry: its parked steps are tried again, with their tries counted from zero.

    It needs no definition of the saga, so that an operator's command works without the services' code. The phase
    does not change: a parked undo and an undo under way both hold up the outcome.
    """
    return replace(run, steps=tuple(_retried(step) if step.state in PARKED else step for step in run.steps))


def _retried(step: StepRun) -> StepRun:
    return StepRun(STEP.next(step.state, StepEvent.RETRY), result=step.result)
