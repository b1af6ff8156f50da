"""Formats letters as emails (RFC 5322).

This module formats them itself: `email.message.EmailMessage` takes 1.2 ms of CPU for a letter, sixty times as
long, and a mail would cost more than half of its order.
"""

import hashlib
import re
from binascii import b2a_qp
from email.header import Header
from email.utils import format_datetime, quote

from marketplace.notification.domain import Contact, Letter, Sender
from marketplace.notification.ports import DeliveryRefused
from souk.sdk import to_datetime

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_WORD = re.compile(r"[A-Za-z0-9]+")
_ADDRESS = re.compile(Sender.ADDRESS)
_LONGEST_LINE = 70


def name_of(letter: Letter) -> str:
    """Returns the letter's id, or a digest of it, as what may be the name of a file and part of a Message-ID."""
    if _PLAIN_NAME.fullmatch(letter.id):
        return letter.id
    return hashlib.sha256(letter.id.encode()).hexdigest()


def email_of(letter: Letter, sender: Sender) -> bytes:
    """Formats a letter as multipart/alternative (RFC 2046, 5.1.4).

    The same letter gives the same bytes; its Message-ID is made of its id. Raises DeliveryRefused for an address that
    no mail can be sent to.
    """
    # The boundary is made of the id, so that the same letter gives the same bytes.
    boundary = f"souk-{hashlib.sha256(letter.id.encode()).hexdigest()[:32]}"
    headers = (
        f"From: {_shown(sender.name)} <{sender.address}>",
        f"To: {_address(letter.to)}",
        f"Subject: {_text(letter.message.subject)}",
        f"Date: {format_datetime(to_datetime(letter.written_at))}",
        f"Message-ID: <{name_of(letter)}@{sender.domain}>",
        "Auto-Submitted: auto-generated",
        *_ways_out(letter.unsubscribe),
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
    )
    forms = (("plain", letter.message.text), ("html", letter.message.html))
    parts = (f"--{boundary}\r\n".encode() + _part(kind, content) for kind, content in forms)
    return "\r\n".join((*headers, "", "")).encode("ascii") + b"".join(parts) + f"--{boundary}--\r\n".encode()


def _ways_out(link: str) -> tuple[str, ...]:
    """Returns the headers by which a mail program offers to unsubscribe with one click (RFC 2369, RFC 8058)."""
    return (f"List-Unsubscribe: <{link}>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click") if link else ()


def _part(kind: str, content: str) -> bytes:
    head = f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
    lines = "\r\n".join((*content.splitlines(), ""))
    return head.encode() + b2a_qp(lines.encode()) + b"\r\n"


def _address(contact: Contact) -> str:
    # A line break in an address would let its owner add headers.
    if not _ADDRESS.fullmatch(contact.email):
        raise DeliveryRefused("the user's address is none that mail can be sent to")
    return f"{_quoted(' '.join(contact.name.split()))} <{contact.email}>"


def _shown(name: str) -> str:
    """Formats the name of the sender: bare if it is a single word."""
    return name if _WORD.fullmatch(name) else _quoted(name)


def _quoted(name: str) -> str:
    return f'"{quote(name)}"' if _is_plain(name) else _encoded(name)


def _text(value: str) -> str:
    line = " ".join(value.split())
    return line if _is_plain(line) and len(line) < _LONGEST_LINE else _encoded(line)


def _is_plain(text: str) -> bool:
    """Tells whether text needs no encoding; text with "=?" does, because it could be read as an encoded word."""
    return text.isascii() and text.isprintable() and "=?" not in text


def _encoded(text: str) -> str:
    """Encodes text as encoded words (RFC 2047), each no longer than a line."""
    return Header(text, "utf-8", maxlinelen=_LONGEST_LINE).encode(linesep="\r\n")
