"""A decision of the saga machine in the making: the steps that follow from one event, and the phase of the run."""

from souk.saga.definition import Refusal, Saga
from souk.saga.run import ASKING, Decision, Run, StepRun
from souk.saga.states import RUN, STEP, Phase, PhaseEvent, StepEvent, StepState

DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
_OPEN_UNDO = frozenset({StepState.UNDOING, StepState.UNDO_PARKED})
_UNDER_WAY = ASKING | {StepState.PARKED, StepState.AWAITING, StepState.WAIT_PARKED}


class Draft:
    """A decision in the making."""

    def __init__(self, saga: Saga, run: Run) -> None:
        self.saga, self.phase, self.refusal = saga, run.phase, run.refusal
        self.steps = list(run.steps)
        self.records: list[int] = []

    def step(
        self, index: int, event: StepEvent, *, tried: int = 0, sent: int = 0, result: bytes = b"", note: str = ""
    ) -> None:
        old = self.steps[index]
        state = STEP.next(old.state, event)
        # The count of tries starts again when the step is undone, as back-off and limit are then the undo's.
        turns = state in _OPEN_UNDO and old.state not in _OPEN_UNDO
        tries, sent = (0, 0) if turns else (old.tries + tried, old.sent + sent)
        self.steps[index] = StepRun(state, tries, sent, result or old.result, note)
        if state is StepState.UNDOING and self.saga.steps[index].undo is None:
            self.step(index, StepEvent.UNDONE)

    def go_on(self, *, late: bool) -> None:
        """Completes the local steps that come next, and begins the first other step, with those beside it."""
        for index, step in enumerate(self.saga.steps):
            state = self.steps[index].state
            if state is StepState.DONE:
                continue
            if state is not StepState.WAITING:
                return  # a step beside this one, or before it, is not done yet
            if step.do is not None or step.wait is not None:
                if late and self.phase is Phase.RUNNING:
                    self.turn_back(too_late(step.name))
                elif step.wait is not None:
                    self.step(index, StepEvent.AWAIT)
                else:
                    self.register(index)
                return
            self.done(index, StepEvent.DONE)
        self.phase = RUN.next(self.phase, PhaseEvent.ALL_DONE)

    def register(self, index: int) -> None:
        """Registers a step that makes a call, and those that run beside it."""
        group = self.saga.steps[index].beside
        for other, step in enumerate(self.saga.steps):
            if other == index or (group and step.beside == group):
                self.step(other, StepEvent.REGISTER)

    def done(self, index: int, event: StepEvent, *, tried: int = 0, result: bytes = b"") -> None:
        self.step(index, event, tried=tried, sent=tried, result=result)
        self.records.append(index)
        if index == self.saga.pivot and self.phase is Phase.RUNNING:
            self.phase = RUN.next(self.phase, PhaseEvent.PIVOT)

    def turn_back(self, refusal: Refusal) -> None:
        self.phase, self.refusal = RUN.next(self.phase, PhaseEvent.TURN_BACK), refusal
        for index, step in enumerate(self.steps):
            done_and_undoable = step.state is StepState.DONE and self.saga.steps[index].undo is not None
            if done_and_undoable or step.state in _UNDER_WAY:
                self.step(index, StepEvent.TAKE_BACK)

    def decision(self) -> Decision:
        """Settles the phase as far as the open undos allow, and returns the decision."""
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
    """Makes the refusal of a saga that ran out of time at `step`."""
    return Refusal(step, DEADLINE_EXCEEDED, "the saga ran out of time")
