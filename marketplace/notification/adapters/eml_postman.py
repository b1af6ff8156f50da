"""Letters as .eml files (RFC 5322) in a folder: what a mail client opens, and a test can read."""

import asyncio
import hashlib
import os
import re
import secrets
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from marketplace.notification.domain import Letter
from souk.kernel.clock import to_datetime

SENDER = Address("Souk", addr_spec="orders@souk.invalid")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700


class EmlPostman:
    """The port Postman. The file is named by the letter's id, so the same letter twice is one file."""

    def __init__(self, mailbox: Path) -> None:
        self._mailbox = mailbox

    async def take(self, letter: Letter) -> None:
        """Returns once the file is on the disk; a crash leaves the whole file or none."""
        content = _email(letter).as_bytes(policy=SMTP)
        await asyncio.to_thread(_write, self._mailbox, f"{_file_name(letter.id)}.eml", content)


def _email(letter: Letter) -> EmailMessage:
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = Address(letter.to.name, addr_spec=letter.to.email)
    message["Subject"] = letter.message.subject
    message["Date"] = format_datetime(to_datetime(letter.written_at))
    message["Message-ID"] = f"<{_file_name(letter.id)}@souk.invalid>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.message.text)
    message.add_alternative(letter.message.html, subtype="html")
    # A boundary out of the id: the same letter is the same bytes.
    message.set_boundary(f"souk-{hashlib.sha256(letter.id.encode()).hexdigest()[:32]}")
    return message


def _file_name(letter_id: str) -> str:
    if _PLAIN_NAME.fullmatch(letter_id):
        return letter_id
    return hashlib.sha256(letter_id.encode()).hexdigest()


def _write(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
    aside = folder / f".{name}.{secrets.token_hex(4)}"
    try:
        _write_durably(aside, content)
        aside.replace(folder / name)
    finally:
        aside.unlink(missing_ok=True)
    _sync_folder(folder)


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
