"""Messages to buyers in their two forms, plain text and HTML. No I/O.

All values from outside are escaped for HTML here, in one place.
"""

from dataclasses import dataclass, field
from html import escape
from typing import ClassVar

from cachetools import LRUCache

UNKNOWN_TEMPLATE = "UNKNOWN_TEMPLATE"
PUSH_NOT_OFFERED = "PUSH_NOT_OFFERED"
SHOP = "Souk"

_PAGE = """\
<!DOCTYPE html>
<html lang="{language}" dir="{direction}">
<head><meta charset="utf-8"><title>{subject}</title></head>
<body style="font-family: sans-serif; max-width: 36em; margin: 2em auto; color: #222">
<p>{greeting}</p>
<p>{opening}</p>
{table}<p>{closing}</p>
<p>{shop}</p>
</body>
</html>
"""
_ROW = (
    '<tr><td style="padding: {padding}"><bdi>{label}</bdi></td>'
    '<td style="text-align: {end}"><bdi>{value}</bdi></td></tr>\n'
)
_RIGHT_TO_LEFT_MARK = "\u200f"


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
class Script:
    """How a message is written to its reader: the language's tag, whether it runs from right to left, the greeting."""

    language: str
    rtl: bool
    greeting: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message rendered as plain text and as HTML."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class PushSubscription:
    """Where a browser takes messages, and its keys in base64url, as it gives them (`PushSubscription.toJSON`)."""

    endpoint: str = field(repr=False)
    public_key: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Contact:
    """The email address, the name and the locale of a user, such as "fr-CA".

    Who is `unsubscribed` wants mails about money and security alone. `unsubscribe_token` goes into the link by which a
    user unsubscribes. `phone` is for text messages (E.164), or empty.
    """

    email: str
    name: str
    locale: str = "en"
    unsubscribed: bool = False
    unsubscribe_token: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)
    browsers: tuple[PushSubscription, ...] = ()


@dataclass(frozen=True, slots=True)
class Sender:
    """Who letters are from: a name and an email address."""

    ADDRESS: ClassVar[str] = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+"
    """A regular expression of the addresses that letters go to and come from, all of them ASCII (RFC 5322, 3.2.3)."""

    name: str = SHOP
    address: str = "orders@souk.invalid"

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to a contact. Its `id` is that of its event; `written_at` is in microseconds since 1970.

    `unsubscribe` is the address that ends further mails of its kind; empty for mails that cannot be ended.
    """

    id: str
    to: Contact
    message: Rendered
    written_at: int
    unsubscribe: str = ""


@dataclass(frozen=True, slots=True)
class Sms:
    """A text message. Its `id` is that of its event; `to` is a number such as +15551234567 (E.164)."""

    id: str
    to: str
    text: str


@dataclass(frozen=True, slots=True)
class Push:
    """A message to a browser. Its `id` is that of its event."""

    id: str
    to: PushSubscription
    content: bytes


class MailRate:
    """Limits how many mails each user gets: `most` at once, and as many in each minute (a token bucket by user).

    It knows the last USERS users; it is a guard against a flood, and not a promise. Times are in seconds.
    """

    USERS: ClassVar[int] = 10_000

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._left: LRUCache[str, tuple[float, float]] = LRUCache(self.USERS)

    def take(self, user_id: str, now: float) -> bool:
        """Returns whether the user may get a mail now, and counts it if so."""
        left, at = self._left.get(user_id, (self._most, now))
        left = min(self._most, left + (now - at) * self._most / 60)
        may = left >= 1
        self._left[user_id] = (left - 1 if may else left, now)
        return may

    def give_back(self, user_id: str) -> None:
        """Takes back the count of a mail that was not sent."""
        left, at = self._left.get(user_id, (self._most - 1, 0.0))
        self._left[user_id] = (left + 1, at)


def render(content: Content, script: Script) -> Rendered:
    """Renders a message in the script of its language."""
    return Rendered(content.subject, _text(content, script), _html(content, script))


def _text(content: Content, script: Script) -> str:
    # The mark makes a line that begins with a number or a Latin letter run from the right as well.
    mark = _RIGHT_TO_LEFT_MARK if script.rtl else ""
    width = max((len(line.label) for line in content.lines), default=0)
    table = "\n".join(f"{mark}  {line.label:<{width}}  {line.value}" for line in content.lines)
    parts = (script.greeting, content.opening, table, content.closing, SHOP)
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(content: Content, script: Script) -> str:
    return _PAGE.format(
        language=script.language,
        direction="rtl" if script.rtl else "ltr",
        subject=escape(content.subject),
        greeting=escape(script.greeting),
        opening=escape(content.opening),
        table=_table(content.lines, script),
        closing=escape(content.closing),
        shop=escape(SHOP),
    )


def _table(lines: tuple[Line, ...], script: Script) -> str:
    if not lines:
        return ""
    padding, end = ("0.2em 0 0.2em 2em", "left") if script.rtl else ("0.2em 2em 0.2em 0", "right")
    rows = "".join(
        _ROW.format(padding=padding, end=end, label=escape(line.label), value=escape(line.value)) for line in lines
    )
    return f"<table>\n{rows}</table>\n"
