"""What a saga does next: pure decisions over what is recorded of it.

The rules that pick the events of the tables in `souk.saga.states`:

- REFUSED before the pivot goes back. After it nothing can be given up: a refusal that is not final is
  tried again, a final one, or one too many, is parked.
- NOT_SENT before the pivot goes back, and that step has nothing to undo; after it, it is tried again.
- UNKNOWN leaves the step in doubt. It is asked again under the same key until the answer is definite
  or the deadline passes; then it is undone. A refusal of a step in doubt is undone too: an earlier
  try may still be on its way, and only the undo blocks it.
- Undos are independent. REJECTED commits once every undo that it waits for is acknowledged.

No time, no I/O: `late` says that the deadline has passed, and what is to be written comes back as a
Decision. The state alone says what is to be done (`to_do`, `to_undo`), so a replica that reads it from the
database goes on exactly as the one that wrote it.
"""

from dataclasses import dataclass, replace

from souk.kernel.errors import Outcome
from souk.saga.definition import Refusal, Saga
from souk.saga.states import RUN, STEP, Phase, PhaseEvent, StepEvent, StepState

DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"

ENDED = frozenset({Phase.COMPENSATED, Phase.COMPLETED})
_ASKING = frozenset({StepState.TRYING, StepState.DOUBTFUL})
_PARKED = frozenset({StepState.PARKED, StepState.UNDO_PARKED})
_OPEN_UNDO = frozenset({StepState.UNDOING, StepState.UNDO_PARKED})
_BEFORE_PIVOT = {
    Outcome.DONE: StepEvent.DONE,
    Outcome.REFUSED: StepEvent.REFUSED,
    Outcome.NOT_SENT: StepEvent.NOT_SENT,
    Outcome.UNKNOWN: StepEvent.UNKNOWN,
}
_AFTER_PIVOT = _BEFORE_PIVOT | {Outcome.REFUSED: StepEvent.BLOCKED, Outcome.NOT_SENT: StepEvent.DELAYED}


@dataclass(frozen=True, slots=True)
class StepRun:
    """What is recorded of one step; `tries` counts the calls of `do`, or of `undo` once it goes back."""

    state: StepState = StepState.WAITING
    tries: int = 0
    result: bytes = b""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What is recorded of a saga's run; `refusal` says why it turned back."""

    phase: Phase
    steps: tuple[StepRun, ...]
    refusal: Refusal | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do, forward or back."""
        return self.phase in ENDED

    @property
    def parked(self) -> bool:
        """Whether some step waits for an operator."""
        return any(step.state in _PARKED for step in self.steps)

    @property
    def to_do(self) -> int | None:
        """The index of the step to be asked, if one is."""
        return next((index for index, step in enumerate(self.steps) if step.state in _ASKING), None)

    @property
    def to_undo(self) -> tuple[int, ...]:
        """The indexes of the steps to be undone, in any order or at once."""
        return tuple(index for index, step in enumerate(self.steps) if step.state is StepState.UNDOING)

    @property
    def active(self) -> bool:
        """Whether somebody has to work on it."""
        return self.to_do is not None or bool(self.to_undo)


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """How one try of a step ended; `refusal` says why, unless it is DONE."""

    outcome: Outcome
    result: bytes = b""
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The run as it is to be recorded, and the hooks to call in the same transaction, in this order.

    `records` are the indexes of the steps whose `record` is due.
    """

    run: Run
    records: tuple[int, ...] = ()
    rejected: bool = False
    ended: bool = False


class _Draft:
    """A decision in the making."""

    def __init__(self, saga: Saga, run: Run) -> None:
        self.saga, self.phase, self.refusal = saga, run.phase, run.refusal
        self.steps = list(run.steps)
        self.records: list[int] = []

    def step(self, index: int, event: StepEvent, *, tried: int = 0, result: bytes = b"", note: str = "") -> None:
        old = self.steps[index]
        state = STEP.next(old.state, event)
        # A step counts anew when it goes back: its back-off and its limit are the undo's.
        turns = state in _OPEN_UNDO and old.state not in _OPEN_UNDO
        tries = 0 if turns else old.tries + tried
        self.steps[index] = StepRun(state, tries, result or old.result, note)
        if state is StepState.UNDOING and self.saga.steps[index].undo is None:
            self.step(index, StepEvent.UNDONE)

    def go_on(self, *, late: bool) -> None:
        """Does the local steps that come next, and registers the first that is not."""
        for index, step in enumerate(self.saga.steps):
            if self.steps[index].state is not StepState.WAITING:
                continue
            if step.do is not None:
                if late and self.phase is Phase.RUNNING:
                    self.turn_back(too_late(step.name))
                else:
                    self.step(index, StepEvent.REGISTER)
                return
            self.done(index, StepEvent.DONE)
        self.phase = RUN.next(self.phase, PhaseEvent.ALL_DONE)

    def done(self, index: int, event: StepEvent, *, tried: int = 0, result: bytes = b"") -> None:
        self.step(index, event, tried=tried, result=result)
        self.records.append(index)
        if index == self.saga.pivot and self.phase is Phase.RUNNING:
            self.phase = RUN.next(self.phase, PhaseEvent.PIVOT)

    def turn_back(self, refusal: Refusal) -> None:
        self.phase, self.refusal = RUN.next(self.phase, PhaseEvent.TURN_BACK), refusal
        for index, step in enumerate(self.steps):
            done_and_undoable = step.state is StepState.DONE and self.saga.steps[index].undo is not None
            if done_and_undoable or step.state in _ASKING:
                self.step(index, StepEvent.TAKE_BACK)

    def decision(self) -> Decision:
        """Settles the phase once the undos allow it."""
        before = self.phase
        open_undos = [self.saga.steps[index] for index, step in enumerate(self.steps) if step.state in _OPEN_UNDO]
        if self.phase is Phase.TURNED_BACK and not any(step.outcome_waits for step in open_undos):
            self.phase = RUN.next(self.phase, PhaseEvent.SETTLED)
        if self.phase is Phase.REJECTED and not open_undos:
            self.phase = RUN.next(self.phase, PhaseEvent.ALL_UNDONE)
        run = Run(self.phase, tuple(self.steps), self.refusal)
        rejected = before is Phase.TURNED_BACK and self.phase is not Phase.TURNED_BACK
        return Decision(run, tuple(self.records), rejected, run.ended)


def too_late(step: str) -> Refusal:
    """The refusal of a saga that ran out of time at `step`."""
    return Refusal(step, DEADLINE_EXCEEDED, "the saga ran out of time")


def begin(saga: Saga) -> Decision:
    """The first record of a run: its first call is registered before it is made."""
    draft = _Draft(saga, Run(Phase.RUNNING, tuple(StepRun() for _ in saga.steps)))
    if saga.forward_only:
        draft.phase = RUN.next(draft.phase, PhaseEvent.PIVOT)
    draft.go_on(late=False)
    return draft.decision()


def answered(
    saga: Saga, run: Run, index: int, answer: StepAnswer, *, late: bool, tries_exhausted: bool = False
) -> Decision:
    """One try of the step at `index` has ended; `tries_exhausted` says that there were enough of them."""
    draft = _Draft(saga, run)
    event = _event(run, answer, tries_exhausted=tries_exhausted)
    if event is StepEvent.DONE:
        draft.done(index, event, tried=1, result=answer.result)
        draft.go_on(late=late)
        return draft.decision()
    refusal = answer.refusal or Refusal(saga.steps[index].name, answer.outcome.name)
    draft.step(index, event, tried=1, note=refusal.reason)
    if run.phase is Phase.RUNNING:
        if draft.steps[index].state is not StepState.DOUBTFUL:
            draft.turn_back(refusal)
        elif late:
            draft.turn_back(too_late(refusal.step))
    return draft.decision()


def _event(run: Run, answer: StepAnswer, *, tries_exhausted: bool) -> StepEvent:
    if run.phase is Phase.RUNNING:
        return _BEFORE_PIVOT[answer.outcome]
    final = answer.refusal is not None and answer.refusal.final
    if answer.outcome is Outcome.REFUSED and not final and not tries_exhausted:
        return StepEvent.DELAYED
    return _AFTER_PIVOT[answer.outcome]


def deadline_passed(saga: Saga, run: Run) -> Decision:
    """No time is left before the pivot: what is in doubt is undone with the rest."""
    draft = _Draft(saga, run)
    draft.turn_back(too_late(saga.steps[run.to_do or 0].name))
    return draft.decision()


def undone(saga: Saga, run: Run, index: int) -> Decision:
    """The undo of the step at `index` is acknowledged."""
    draft = _Draft(saga, run)
    draft.step(index, StepEvent.UNDONE, tried=1)
    return draft.decision()


def undo_failed(saga: Saga, run: Run, index: int, note: str, *, park: bool) -> Decision:
    """The undo of the step at `index` failed; `park` says that an operator must look."""
    draft = _Draft(saga, run)
    draft.step(index, StepEvent.PARK if park else StepEvent.UNDO_FAILED, tried=1, note=note)
    return draft.decision()


def not_recorded(saga: Saga, run: Run, index: int, note: str, *, tries: int) -> Decision:
    """What became of the step at `index` could not be recorded in so many tries: an operator must look.

    Nothing else is decided, and no hook is called. A retry asks the participant again.
    """
    draft = _Draft(saga, run)
    undoing = run.steps[index].state is StepState.UNDOING
    draft.step(index, StepEvent.PARK if undoing else StepEvent.BLOCKED, tried=tries, note=note)
    return draft.decision()


def resumed(saga: Saga, run: Run) -> Run:
    """The run in new hands: whether the last try was made, nobody knows."""
    draft = _Draft(saga, run)
    if run.to_do is not None:
        draft.step(run.to_do, StepEvent.UNKNOWN)
    return draft.decision().run


def retried(run: Run) -> Run:
    """The run after an operator asked for its parked steps to be tried again: their tries count from nothing.

    It needs no definition, so that an operator's command can ask for it without the services' code. No phase
    changes: a parked undo and one that is under way hold the outcome up alike.
    """
    return replace(run, steps=tuple(_retried(step) if step.state in _PARKED else step for step in run.steps))


def _retried(step: StepRun) -> StepRun:
    return StepRun(STEP.next(step.state, StepEvent.RETRY), result=step.result)
