"""The definition of a saga: its steps in order, each with its undo.

    place_order = Saga(
        "place-order",
        Step("reserve stock", do=reserve, undo=release),
        Step("charge payment", do=charge, undo=cancel_charge, outcome_waits=False),
        Step("confirm order", record=confirm, pivot=True),
        Step("commit stock", do=commit_stock),
        rejected=reject,
    )

A definition that changes while its runs are open is given the next `version`, and the old one stays beside it until
they have ended. `do` and `undo` call a participant and may be called any number of times with the same key; `record`
and the hooks write to the database, in the transaction that records the step's result.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256

from google.protobuf.message import Message

from souk.store.database import Transaction


@dataclass(frozen=True, slots=True)
class SagaRef:
    """The name of one run: an attempt of a saga for a subject, such as an order."""

    name: str
    subject: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StepCall:
    """The argument of a step's functions and of a saga's hooks.

    `key` is `<subject>:<attempt>:<step slug>`; participants keep it for ever. The hooks of a whole
    saga, `rejected` and `ended`, have no step: their key is `<subject>:<attempt>`. `input` is what the
    saga was started with, `results` the serialised results of the steps done so far, by step name.
    `keys` are the keys of all steps by name, so that a later step can refer to an earlier one.
    """

    ref: SagaRef
    key: str
    input: bytes
    on_behalf_of: str
    results: dict[str, bytes] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason for which a saga goes back.

    `step` is the step that failed. `reason`, `detail` and `status` (a serialised google.rpc.Status) are
    the participant's. `sent` is false when the step was never sent (breaker open, no instance), and
    `final` is true when the participant's contract says that no retry can end otherwise. A saga that ran
    out of time has the reason `DEADLINE_EXCEEDED`.
    """

    step: str
    reason: str
    detail: str = ""
    status: bytes = b""
    sent: bool = True
    final: bool = False


Do = Callable[[StepCall], Awaitable[Message | None]]
Undo = Callable[[StepCall], Awaitable[None]]
Record = Callable[[Transaction, StepCall, bytes], Awaitable[None]]
Rejected = Callable[[Transaction, StepCall, Refusal], Awaitable[None]]
Ended = Callable[[Transaction, StepCall], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Wait:
    """What a step waits for, as `souk.saga.waits` makes it: a `message` with a `key`, or a time if `message` is empty.

    It waits `seconds` at most, or until `at`, in microseconds since 1970. When that is over the step is done with the
    result `otherwise`, or refused without one. `check` raises DomainError for a message that refuses the step.
    """

    message: str
    key: Callable[[StepCall], str]
    seconds: float = 0.0
    at: Callable[[StepCall], int] | None = None
    otherwise: bytes | None = None
    check: Callable[[bytes], None] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a saga.

    `do` makes the call; without it the step is local and consists of `record` alone. `undo` takes the call
    back; for a step that never happened it must be a no-op that also blocks a late `do`. `record` writes what
    the result means, in the transaction that records the result. As in any hook of a saga, its writes must
    guard its decisions (see `souk.store.database`): it appends with an expected version, updates on a
    condition, or takes a lock. It should change rows of its own subject only, as it may be committed together with
    those of other subjects.

    From the step marked `pivot` on, the saga only goes forward: the transaction that records it as
    done is the commitment. A pivot that makes a call may still be refused, unless it is the first step.
    `outcome_waits` says that the rejection may commit only once this step's undo is acknowledged.
    `try_timeout` is the limit of one try in seconds, and must stay below the lease.

    `beside` is set by `parallel`: the name of the first step of the group. `wait` is set by `receive` and `timer`: the
    step then makes no call, and waits for something.
    """

    name: str
    do: Do | None = None
    undo: Undo | None = None
    record: Record | None = None
    pivot: bool = False
    outcome_waits: bool = True
    try_timeout: float = 5.0
    beside: str = ""
    wait: Wait | None = None

    @property
    def slug(self) -> str:
        """The part of the step's key that names the step."""
        return self.name.replace(" ", "-")

    @property
    def outline(self) -> str:
        """What a run depends on that has begun this step: its name, what it does, and what its undo means."""
        traits = {
            "do": self.do is not None,
            "undo": self.undo is not None,
            "pivot": self.pivot,
            "outcome does not wait": not self.outcome_waits,
            f"beside {self.beside}": bool(self.beside),
            f"waits for {(self.wait and self.wait.message) or 'a time'}": self.wait is not None,
        }
        return f"{self.name}: {', '.join(trait for trait, has in traits.items() if has) or 'local'}"


def parallel(*steps: Step) -> tuple[Step, ...]:
    """Makes steps that run beside each other: all are called at once, and the next step begins when all are done.

        Saga("trip", *parallel(Step("flight", ...), Step("hotel", ...)), Step("pay", ...), ...)

    If one fails before the pivot, the saga turns back at once: those that are done, or under way, are undone, the last
    of them first, though no undo waits for another. After the pivot each is tried again or parked for itself. Raises
    ValueError for fewer than two steps, for a step without a call, and for a pivot: these stand alone.
    """
    if len(steps) < 2:
        raise ValueError("parallel needs two steps or more")
    for step in steps:
        if step.do is None or step.pivot or step.beside:
            raise ValueError(f"step {step.name!r} cannot run beside others: it must make a call, and be no pivot")
    return tuple(replace(step, beside=steps[0].name) for step in steps)


async def _nothing(tx: Transaction, call: StepCall) -> None:
    """Does nothing; the default of `ended`."""


class Saga:
    """A saga: its steps in order, and the hooks that write its outcome.

    `rejected` writes the outcome of a saga that went back; it runs once, in the transaction that
    commits the outcome. `ended` runs in the transaction after which nothing is left to do, forward or
    back. A saga without a pivot step, or whose first step is the pivot, only goes forward
    (`forward_only`) and needs no `rejected`. `deadline` is in seconds from the start.

    `version` counts the definitions of this name, from 1. A run goes on by the version that it began with: a runner is
    given the old definitions beside the new one, until their runs have ended. A step that keeps its name keeps its
    keys, whatever the version. `fingerprint` is a digest of the outline: it tells a definition that was changed
    without a new version.
    """

    def __init__(
        self,
        name: str,
        *steps: Step,
        version: int = 1,
        rejected: Rejected | None = None,
        ended: Ended = _nothing,
        deadline: float = 60.0,
    ) -> None:
        if len({step.name for step in steps}) != len(steps) or not steps:
            raise ValueError(f"saga {name!r}: steps need names of their own")
        if version < 1:
            raise ValueError(f"saga {name!r}: versions count from 1")
        self.name = name
        self.version = version
        self.steps = steps
        self.pivot = next((index for index, step in enumerate(steps) if step.pivot), 0)
        self.rejected = rejected
        self.ended = ended
        self.deadline = deadline
        self.fingerprint = sha256("\n".join(self.outline).encode()).hexdigest()[:16]
        for index, step in enumerate(steps):
            if step.wait is not None and (index > self.pivot or self.forward_only):
                _require_no_refusal(name, step, step.wait)
        if self.pivot > 0 and rejected is None:
            raise ValueError(f"saga {name!r} can be refused before {steps[self.pivot].name!r} and says not what then")

    @property
    def outline(self) -> tuple[str, ...]:
        """The steps in a few words each: all that a run depends on that began by this definition."""
        return tuple(step.outline for step in self.steps)

    @property
    def forward_only(self) -> bool:
        """Whether the saga never goes back."""
        return self.pivot == 0


def _require_no_refusal(saga: str, step: Step, wait: Wait) -> None:
    """Raises ValueError for a wait that may refuse its step where nothing goes back."""
    if wait.otherwise is None or wait.check is not None:
        raise ValueError(
            f"saga {saga!r}: {step.name!r} waits after the pivot, where nothing can be refused: give it `otherwise`, "
            f"and no `check`"
        )
