"""A message for a run of a saga, and what became of it."""

from dataclasses import dataclass
from enum import StrEnum

from souk.kernel.errors import InvalidArgument, Violation
from souk.saga.definition import SagaRef

LONGEST_NAME = 255
LARGEST_BODY = 1024 * 1024


class MessageFate(StrEnum):
    """What became of a message."""

    KEPT = "kept"
    """No run expects it yet. It is kept, and taken by the next run that does."""
    TAKEN = "taken"
    """A run has it: it waits for it, or will come to the step that does."""
    LATE = "late"
    """The run that expected it waits no more: its limit is over, it has its message, it went back or has ended."""


@dataclass(frozen=True, slots=True)
class SagaMessage:
    """A message from outside: a webhook, an approval.

    Runs are found by its `name` and `key` (see `receive`). `id` is the sender's: a message that comes again with the
    same name and id changes nothing. `body` is what `check` reads, and the result of the step that takes it.
    Raises InvalidArgument for a name, key or id that is empty or longer than 255 characters, and a body above 1 MiB.
    """

    name: str
    key: str
    id: str
    body: bytes = b""

    def __post_init__(self) -> None:
        named = {"name": self.name, "key": self.key, "id": self.id}
        wrong = [
            Violation(field, f"must have 1 to {LONGEST_NAME} characters")
            for field, value in named.items()
            if not 0 < len(value) <= LONGEST_NAME
        ]
        if len(self.body) > LARGEST_BODY:
            wrong.append(Violation("body", f"must have {LARGEST_BODY} bytes at most"))
        if wrong:
            raise InvalidArgument(wrong)


@dataclass(frozen=True, slots=True)
class MessageReceipt:
    """What became of a message. `ref` is the run that took it, or that it was late for; None if it is kept.

    `step` is the step of the run that it is for. `repeated` says that it had come before, and that this is what became
    of it then, or since.
    """

    fate: MessageFate
    ref: SagaRef | None = None
    step: str = ""
    repeated: bool = False
