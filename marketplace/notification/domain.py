"""Messages to buyers in their two forms, plain text and HTML. No I/O.

All values from outside are escaped for HTML here, in one place.
"""

from dataclasses import dataclass
from html import escape

UNKNOWN_TEMPLATE = "UNKNOWN_TEMPLATE"
SHOP = "Souk"

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{subject}</title></head>
<body style="font-family: sans-serif; max-width: 36em; margin: 2em auto; color: #222">
<p>{greeting}</p>
<p>{opening}</p>
{table}<p>{closing}</p>
<p>{shop}</p>
</body>
</html>
"""
_ROW = '<tr><td style="padding: 0.2em 2em 0.2em 0">{label}</td><td style="text-align: right">{value}</td></tr>\n'


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a message's table: a label and an amount."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a message before it is rendered."""

    subject: str
    opening: str
    lines: tuple[Line, ...] = ()
    closing: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message rendered as plain text and as HTML."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Contact:
    """The email address and the name of a user."""

    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to a contact. Its `id` is that of its event; `written_at` is in microseconds since 1970."""

    id: str
    to: Contact
    message: Rendered
    written_at: int


def render(content: Content, name: str) -> Rendered:
    """Renders a message to a user of this name; an empty name gives a greeting without a name."""
    greeting = f"Hello {name}," if name else "Hello,"
    return Rendered(content.subject, _text(content, greeting), _html(content, greeting))


def _text(content: Content, greeting: str) -> str:
    width = max((len(line.label) for line in content.lines), default=0)
    table = "\n".join(f"  {line.label:<{width}}  {line.value}" for line in content.lines)
    parts = (greeting, content.opening, table, content.closing, SHOP)
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(content: Content, greeting: str) -> str:
    return _PAGE.format(
        subject=escape(content.subject),
        greeting=escape(greeting),
        opening=escape(content.opening),
        table=_table(content.lines),
        closing=escape(content.closing),
        shop=escape(SHOP),
    )


def _table(lines: tuple[Line, ...]) -> str:
    if not lines:
        return ""
    rows = "".join(_ROW.format(label=escape(line.label), value=escape(line.value)) for line in lines)
    return f"<table>\n{rows}</table>\n"
