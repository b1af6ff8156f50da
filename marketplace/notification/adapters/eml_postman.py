"""Writes letters as .eml files (RFC 5322) in a folder, which mail clients open and tests can read."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import NamedTuple

from marketplace.notification.adapters.email_format import email_of, name_of
from marketplace.notification.domain import Letter, Sender
from souk.sdk import private_files


class _Mail(NamedTuple):
    file: str
    content: bytes
    written: "asyncio.Future[None]"


class EmlPostman:
    """Implements the port Postman. A file is named by its letter's id, so the same letter twice is one file.

    Letters that arrive while others are being written are written next as one batch: in one call of a thread,
    with one fsync of the folder.
    """

    def __init__(self, mailbox: Path, sender: Sender | None = None) -> None:
        self._mailbox = mailbox
        self._sender = sender or Sender()
        self._waiting: list[_Mail] = []
        self._writing: asyncio.Task[None] | None = None

    async def take(self, letter: Letter) -> None:
        """Writes the letter, and returns once the file is durable; a crash leaves the whole file or none."""
        loop = asyncio.get_running_loop()
        mail = _Mail(f"{name_of(letter)}.eml", email_of(letter, self._sender), loop.create_future())
        self._waiting.append(mail)
        if self._writing is None:
            self._writing = loop.create_task(self._write(), context=Context())
        await mail.written

    async def drain(self) -> None:
        """Has nothing to wait for: who gives a letter waits until it is written."""

    async def close(self) -> None:
        """Has nothing to give back."""

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


def _write_all(folder: Path, mails: Sequence[_Mail]) -> list[OSError | None]:
    """Writes the mails; returns for each the error that prevented it, or None."""
    errors = [_error_of(partial(_write, folder, mail.file, mail.content)) for mail in mails]
    if None in errors and (error := _error_of(partial(private_files.sync_folder, folder))) is not None:
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
        private_files.replace(folder / name, content, folder_later=True)
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True, mode=private_files.PRIVATE_FOLDER)
        private_files.replace(folder / name, content, folder_later=True)
