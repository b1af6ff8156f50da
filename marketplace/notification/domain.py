"""What a message to a buyer is. No I/O."""

from dataclasses import dataclass

UNKNOWN_TEMPLATE = "UNKNOWN_TEMPLATE"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a message's table: what, and how much."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says, before it has a form."""

    subject: str
    opening: str
    lines: tuple[Line, ...] = ()
    closing: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message in both of its forms."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach somebody."""

    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A message on its way. The same event makes the same `id`; `written_at` is in microseconds."""

    id: str
    to: Contact
    message: Rendered
    written_at: int
