"""The coordinator's machine: pure functions that decide from a run of two-phase commit what to do next.

- The branches are prepared one after the other, in the order of the definition. All coordinators lock in the same
  order of participants then, so two of them cannot wait for each other.
- All prepared: the decision is to commit. It must be recorded before the first commit is sent, and is never taken
  back: a commit is sent again until it is acknowledged.
- Anything else, a refusal, no answer, too late: the decision is to abort. Nothing has to be recorded before the
  roll-backs are sent (presumed abort). A branch that refused, or was not reached, has nothing to roll back; one that
  did not answer may be prepared.
- Who takes over a run without a decision aborts it; with one, carries it out. Each branch may be in any state then.

No I/O, no clock.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from souk.kernel.errors import Outcome
from souk.kernel.state_machine import StateMachine
from souk.saga.definition import Refusal
from souk.saga.run import StepAnswer

ABANDONED = "COORDINATOR_LOST"
"""The reason of a run that was aborted because its coordinator ended without a decision."""


class TwoPhase(StrEnum):
    """The phase of a run. `PREPARING`, `COMMITTING` and `ABORTING` still have calls to make."""

    PREPARING = "preparing"
    COMMITTING = "committing"
    ABORTING = "aborting"
    COMMITTED = "committed"
    ABORTED = "aborted"


class TwoPhaseEvent(StrEnum):
    """What happens to a run."""

    ALL_PREPARED = "all_prepared"
    GIVE_UP = "give_up"
    ALL_ENDED = "all_ended"


PHASES = StateMachine[TwoPhase, TwoPhaseEvent](
    "two-phase commit",
    TwoPhase.PREPARING,
    {
        (TwoPhase.PREPARING, TwoPhaseEvent.ALL_PREPARED): TwoPhase.COMMITTING,
        (TwoPhase.PREPARING, TwoPhaseEvent.GIVE_UP): TwoPhase.ABORTING,
        (TwoPhase.COMMITTING, TwoPhaseEvent.ALL_ENDED): TwoPhase.COMMITTED,
        (TwoPhase.ABORTING, TwoPhaseEvent.ALL_ENDED): TwoPhase.ABORTED,
    },
)


class BranchState(StrEnum):
    """What the coordinator knows of a branch."""

    WAITING = "waiting"
    """Not asked yet, so there is nothing to roll back."""
    DOUBTFUL = "doubtful"
    """Asked, without an answer: it may be prepared."""
    PREPARED = "prepared"
    ENDED = "ended"
    """It has committed or rolled back, or never held anything."""


@dataclass(frozen=True, slots=True)
class TwoPhaseRun:
    """A run as its coordinator knows it. Only the phase and the refusal are recorded.

    `results` are what the branches answered to prepare, serialised.
    """

    phase: TwoPhase
    branches: tuple[BranchState, ...]
    results: tuple[bytes, ...]
    refusal: Refusal | None = None

    @property
    def to_prepare(self) -> int | None:
        """The index of the branch to prepare, or None."""
        if self.phase is not TwoPhase.PREPARING:
            return None
        return next((index for index, state in enumerate(self.branches) if state is BranchState.WAITING), None)

    @property
    def to_end(self) -> tuple[int, ...]:
        """The indexes of the branches to commit or to roll back, in any order or at once."""
        if self.phase not in (TwoPhase.COMMITTING, TwoPhase.ABORTING):
            return ()
        return tuple(index for index, state in enumerate(self.branches) if state is not BranchState.ENDED)

    @property
    def commits(self) -> bool:
        """Whether the decision is to commit."""
        return self.phase in (TwoPhase.COMMITTING, TwoPhase.COMMITTED)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.phase in (TwoPhase.COMMITTED, TwoPhase.ABORTED)


def begin(branches: int) -> TwoPhaseRun:
    """Makes a new run of so many branches."""
    return TwoPhaseRun(TwoPhase.PREPARING, (BranchState.WAITING,) * branches, (b"",) * branches)


def asked(run: TwoPhaseRun, index: int) -> TwoPhaseRun:
    """Returns the run when the branch at `index` is about to be asked to prepare."""
    return _with(run, index, BranchState.DOUBTFUL)


def voted(run: TwoPhaseRun, index: int, answer: StepAnswer) -> TwoPhaseRun:
    """Returns the run after the branch at `index` answered prepare; any answer but DONE aborts."""
    if answer.outcome is Outcome.DONE:
        results = tuple(answer.result if at == index else old for at, old in enumerate(run.results))
        run = replace(_with(run, index, BranchState.PREPARED), results=results)
        if all(state is BranchState.PREPARED for state in run.branches):
            return replace(run, phase=PHASES.next(run.phase, TwoPhaseEvent.ALL_PREPARED))
        return run
    holds_nothing = answer.outcome in (Outcome.REFUSED, Outcome.NOT_SENT)
    run = _with(run, index, BranchState.ENDED) if holds_nothing else run
    return _gives_up(run, answer.refusal or Refusal(str(index), answer.outcome.name))


def acknowledged(run: TwoPhaseRun, index: int) -> TwoPhaseRun:
    """Returns the run after the branch at `index` acknowledged its commit or roll-back."""
    return _settled(_with(run, index, BranchState.ENDED))


def taken_over(phase: TwoPhase, branches: int, refusal: Refusal | None) -> TwoPhaseRun:
    """Returns the run as who takes it over goes on with it: without a decision it aborts.

    Of the branches nothing is known but that all are prepared, or have ended, if the decision is to commit.
    """
    state = BranchState.PREPARED if phase is TwoPhase.COMMITTING else BranchState.DOUBTFUL
    run = TwoPhaseRun(phase, (state,) * branches, (b"",) * branches, refusal)
    return _gives_up(run, Refusal("", ABANDONED)) if phase is TwoPhase.PREPARING else run


def _gives_up(run: TwoPhaseRun, refusal: Refusal) -> TwoPhaseRun:
    states = tuple(BranchState.ENDED if state is BranchState.WAITING else state for state in run.branches)
    phase = PHASES.next(run.phase, TwoPhaseEvent.GIVE_UP)
    return _settled(replace(run, phase=phase, branches=states, refusal=refusal))


def _settled(run: TwoPhaseRun) -> TwoPhaseRun:
    if all(state is BranchState.ENDED for state in run.branches):
        return replace(run, phase=PHASES.next(run.phase, TwoPhaseEvent.ALL_ENDED))
    return run


def _with(run: TwoPhaseRun, index: int, state: BranchState) -> TwoPhaseRun:
    return replace(run, branches=tuple(state if at == index else old for at, old in enumerate(run.branches)))


def diagram() -> str:
    """Returns the table of phases as a Mermaid diagram."""
    return PHASES.diagram()
