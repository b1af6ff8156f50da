"""Steps that wait: for a message from outside, or for a time. Nobody drives a run meanwhile.

    Saga(
        "expenses",
        Step("hold budget", do=hold, undo=release),
        receive("approval", key=lambda call: call.ref.subject, limit=3 * 86_400.0, check=approved),
        timer("cooling off", 3_600.0),
        Step("pay", do=pay, pivot=True),
        rejected=reject,
    )

Source: Hohpe and Woolf, "Enterprise Integration Patterns" (Correlation Identifier); BPMN 2.0, receive task and timer.
"""

from collections.abc import Callable

from google.protobuf.message import Message

from souk.kernel.errors import DomainError, Outcome
from souk.saga.definition import Record, Refusal, Step, StepCall, Wait
from souk.saga.run import StepAnswer

NO_MESSAGE = "NO_MESSAGE"
"""The reason of a step whose message did not come in time."""
LONGEST = 100 * 366 * 86_400.0
"""The longest wait, in seconds."""


def _subject(call: StepCall) -> str:
    return call.ref.subject


def receive(
    name: str,
    *,
    limit: float,
    message: str = "",
    key: Callable[[StepCall], str] = _subject,
    check: Callable[[bytes], None] | None = None,
    otherwise: Message | None = None,
    record: Record | None = None,
    pivot: bool = False,
) -> Step:
    """Makes a step that waits for a message, `limit` seconds at most; the message's body is the step's result.

    `message` is its name, that of the step if empty; `key` is made from the run's input when the run starts, and is the
    subject if it is not given. A message with that name and key is taken also if it comes before the step begins, or
    before the run. `check` raises DomainError for a message that refuses the step, such as a declined approval; it
    reads the body, and nothing else. When the limit is over, the step is refused with NO_MESSAGE, or done with the
    message `otherwise`. `record` and `pivot` are those of any step.

    No time of the saga's deadline passes during the wait. After the pivot a wait needs `otherwise`, and has no `check`.
    Raises ValueError for a limit that is not above 0, or above 100 years.
    """
    if not 0 < limit <= LONGEST:
        raise ValueError(f"step {name!r}: the limit must be above 0 seconds, and 100 years at most")
    instead = None if otherwise is None else otherwise.SerializeToString()
    wait = Wait(message or name, key, limit, otherwise=instead, check=check)
    return Step(name, record=record, pivot=pivot, wait=wait)


def timer(
    name: str,
    seconds: float = 0.0,
    *,
    at: Callable[[StepCall], int] | None = None,
    record: Record | None = None,
) -> Step:
    """Makes a step that waits for `seconds`, or until the time that `at` makes from the run's input and results.

    `at` gives microseconds since 1970, by the clock of the database; a time that has passed ends the wait at once. It
    may end a little later, never earlier. Raises ValueError unless one of the two is given, and for seconds that are
    not above 0, or are more than 100 years.
    """
    if (seconds != 0.0) is (at is not None) or not (at is not None or 0 < seconds <= LONGEST):
        raise ValueError(f"step {name!r}: a timer has seconds, above 0 and 100 years at most, or a time")
    return Step(name, record=record, wait=Wait("", _subject, seconds, at, otherwise=b""))


def end_of_wait(step: Step, message: bytes | None, *, due: bool) -> StepAnswer | None:
    """Returns how a wait ends, by its message or by its time; None if it goes on."""
    wait = step.wait
    assert wait is not None, "the machine wakes only steps that wait"
    if message is not None:
        return _checked(step.name, wait, message)
    if not due:
        return None
    if wait.otherwise is None:
        return StepAnswer(Outcome.REFUSED, refusal=Refusal(step.name, NO_MESSAGE, f"no {wait.message!r} came in time"))
    return StepAnswer(Outcome.DONE, wait.otherwise)


def _checked(step: str, wait: Wait, message: bytes) -> StepAnswer:
    try:
        if wait.check is not None:
            wait.check(message)
    except DomainError as error:
        return StepAnswer(Outcome.REFUSED, refusal=Refusal(step, error.reason, error.detail, final=True))
    return StepAnswer(Outcome.DONE, message)
