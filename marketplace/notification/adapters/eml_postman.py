"""Writes letters as .eml files (RFC 5322) in a folder, which mail clients open and tests can read.

This module formats them itself: `email.message.EmailMessage` takes 1.2 ms of CPU for a letter, sixty times as
long, and a mail would cost more than half of its order.
"""

import asyncio
import hashlib
import os
import re
from binascii import b2a_qp
from collections.abc import Callable, Sequence
from contextvars import Context
from email.header import Header
from email.utils import format_datetime, quote
from functools import partial
from pathlib import Path
from typing import NamedTuple

from marketplace.notification.domain import Contact, Letter
from souk.sdk import private_files, to_datetime

SENDER = "Souk <orders@souk.invalid>"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_ADDRESS = re.compile(r"[!-~]+@[!-~]+")
_LONGEST_LINE = 70


class _Mail(NamedTuple):
    file: str
    content: bytes
    written: "asyncio.Future[None]"


class EmlPostman:
    """Implements the port Postman. A file is named by its letter's id, so the same letter twice is one file.

    Letters that arrive while others are being written are written next as one batch: in one call of a thread,
    with one fsync of the folder.
    """

    def __init__(self, mailbox: Path) -> None:
        self._mailbox = mailbox
        self._waiting: list[_Mail] = []
        self._writing: asyncio.Task[None] | None = None

    async def take(self, letter: Letter) -> None:
        """Writes the letter, and returns once the file is durable; a crash leaves the whole file or none."""
        name, loop = _file_name(letter.id), asyncio.get_running_loop()
        mail = _Mail(f"{name}.eml", email_of(letter, name), loop.create_future())
        self._waiting.append(mail)
        if self._writing is None:
            self._writing = loop.create_task(self._write(), context=Context())
        await mail.written

    async def _write(self) -> None:
        together: list[_Mail] = []
        try:
            while self._waiting:
                together, self._waiting = self._waiting, []
                _end_requests(together, await asyncio.to_thread(_write_all, self._mailbox, together))
        finally:
            self._writing = None
            for mail in (*together, *self._waiting):
                mail.written.cancel()  # no effect on those that have a result


def _end_requests(mails: Sequence[_Mail], errors: Sequence[OSError | None]) -> None:
    for mail, error in zip(mails, errors, strict=True):
        if mail.written.done():  # the waiting request was cancelled
            continue
        if error is None:
            mail.written.set_result(None)
        else:
            mail.written.set_exception(error)


def email_of(letter: Letter, name: str) -> bytes:
    """Formats a letter as multipart/alternative (RFC 2046, 5.1.4); `name` makes its Message-ID."""
    # The boundary is made of the id, so that the same letter gives the same bytes.
    boundary = f"souk-{hashlib.sha256(letter.id.encode()).hexdigest()[:32]}"
    headers = (
        f"From: {SENDER}",
        f"To: {_address(letter.to)}",
        f"Subject: {_text(letter.message.subject)}",
        f"Date: {format_datetime(to_datetime(letter.written_at))}",
        f"Message-ID: <{name}@souk.invalid>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
    )
    forms = (("plain", letter.message.text), ("html", letter.message.html))
    parts = (f"--{boundary}\r\n".encode() + _part(kind, content) for kind, content in forms)
    return "\r\n".join((*headers, "", "")).encode("ascii") + b"".join(parts) + f"--{boundary}--\r\n".encode()


def _part(kind: str, content: str) -> bytes:
    head = f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
    lines = "\r\n".join((*content.splitlines(), ""))
    return head.encode() + b2a_qp(lines.encode()) + b"\r\n"


def _address(contact: Contact) -> str:
    # A line break in an address would let its owner add headers.
    if not _ADDRESS.fullmatch(contact.email):
        raise ValueError("not an address that can be written to")
    name = " ".join(contact.name.split())
    shown = f'"{quote(name)}"' if _is_plain(name) else _encoded(name)
    return f"{shown} <{contact.email}>"


def _text(value: str) -> str:
    line = " ".join(value.split())
    return line if _is_plain(line) and len(line) < _LONGEST_LINE else _encoded(line)


def _is_plain(text: str) -> bool:
    """Tells whether text needs no encoding; text with "=?" does, because it could be read as an encoded word."""
    return text.isascii() and text.isprintable() and "=?" not in text


def _encoded(text: str) -> str:
    """Encodes text as encoded words (RFC 2047), each no longer than a line."""
    return Header(text, "utf-8", maxlinelen=_LONGEST_LINE).encode(linesep="\r\n")


def _file_name(letter_id: str) -> str:
    if _PLAIN_NAME.fullmatch(letter_id):
        return letter_id
    return hashlib.sha256(letter_id.encode()).hexdigest()


def _write_all(folder: Path, mails: Sequence[_Mail]) -> list[OSError | None]:
    """Writes the mails; returns for each the error that prevented it, or None."""
    errors = [_error_of(partial(_write, folder, mail.file, mail.content)) for mail in mails]
    if None in errors and (error := _error_of(lambda: _sync_folder(folder))) is not None:
        return [error] * len(mails)
    return errors


def _error_of(step: Callable[[], None]) -> OSError | None:
    try:
        step()
    except OSError as error:
        return error
    return None


def _write(folder: Path, name: str, content: bytes) -> None:
    try:
        private_files.replace(folder / name, content)
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True, mode=private_files.PRIVATE_FOLDER)
        private_files.replace(folder / name, content)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
