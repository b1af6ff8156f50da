"""What is recorded of a run, and what the machine decides about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from souk.kernel.errors import Outcome
from souk.saga.definition import Refusal, SagaRef
from souk.saga.states import Phase, StepState

ENDED = frozenset({Phase.COMPENSATED, Phase.COMPLETED})
ASKING = frozenset({StepState.TRYING, StepState.DOUBTFUL})
PARKED = frozenset({StepState.PARKED, StepState.UNDO_PARKED, StepState.WAIT_PARKED})


@dataclass(frozen=True, slots=True)
class StepRun:
    """The record of one step; `tries` counts the calls of `do`, or of `undo` once the step is being undone.

    `sent` counts those of them that may have reached the participant. Only they count towards the limit of tries:
    a participant that cannot be reached says nothing about the step.
    """

    state: StepState = StepState.WAITING
    tries: int = 0
    sent: int = 0
    result: bytes = b""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """The record of one run of a saga; `refusal` says why it turned back."""

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
        return any(step.state in PARKED for step in self.steps)

    @property
    def to_do(self) -> tuple[int, ...]:
        """The indexes of the steps to try, at once: more than one if they run beside each other."""
        return tuple(index for index, step in enumerate(self.steps) if step.state in ASKING)

    @property
    def to_undo(self) -> tuple[int, ...]:
        """The indexes of the steps to undo, at once; they begin with the last step."""
        return tuple(index for index, step in reversed([*enumerate(self.steps)]) if step.state is StepState.UNDOING)

    @property
    def active(self) -> bool:
        """Whether a runner has to work on the run at once."""
        return bool(self.to_do or self.to_undo)

    @property
    def awaiting(self) -> int | None:
        """The index of the step that waits for a message or for a time; None if none does."""
        return next((index for index, step in enumerate(self.steps) if step.state is StepState.AWAITING), None)


@dataclass(frozen=True, slots=True)
class WaitNews:
    """What a run that waits has: its message, if it came, with its trace; or that its time is over, if it is `due`."""

    message: bytes | None
    due: bool
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """The end of one try of a step; `refusal` says why it failed, unless the outcome is DONE."""

    outcome: Outcome
    result: bytes = b""
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The run to record, and the hooks to call in the same transaction, in the order of the fields.

    `records` are the indexes of the steps whose `record` is to be called.
    """

    run: Run
    records: tuple[int, ...] = ()
    rejected: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A run that an owner holds under a lease. `remaining` is the time to its deadline in seconds.

    `revision` is the number of writes to the run before the owner took it. `version` and `fingerprint` are those of
    the definition that it began with. `asked` is what an operator asked of the run that the owner is to do first.
    `news` is what a run has that waits, and `previous` the `traceparent` of the attempt before this one. `traceparent`
    and `tracestate` are those of the request that began the run. `releases` are those of services that it has met, as
    they are sent with calls.
    """

    ref: SagaRef
    epoch: int
    revision: int
    input: bytes
    on_behalf_of: str
    traceparent: str
    remaining: float
    run: Run
    version: int = 1
    fingerprint: str = ""
    asked: str = ""
    news: WaitNews | None = None
    previous: str = ""
    tracestate: str = ""
    releases: str = ""


StepNames = Callable[[str, int], Sequence[str]]
"""Gives the names of the steps of a saga's version, in order."""
