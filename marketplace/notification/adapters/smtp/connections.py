"""Sessions with a mail server, kept open between mails (RFC 5321)."""

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import cast

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from marketplace.notification.adapters.smtp.replies import Stage
from marketplace.notification.settings import SmtpSettings
from souk.sdk import Clock, ConfigurationError

MOST = 4
"""The most sessions at once."""
KEPT_FOR = 30.0
"""How long an unused session is kept, in seconds; servers close it after some minutes (RFC 5321, 4.5.3.2.7)."""
_GOODBYE = 1.0
_CLOSING, _A_REPLY = 421, 200
_BROKEN = (SMTPException, OSError, TimeoutError, ValueError)
"""What ends an attempt without an answer; a ValueError comes of a host name that IDNA does not allow."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A mail for the server: the addresses of sender and recipient, and the content."""

    sender: str
    recipient: str
    content: bytes


class NoSession(Exception):
    """There is no session, or it ended without an answer; a mail that was being handed over may have been taken."""


class SmtpRefusal(Exception):
    """The server answered with a refusal."""

    def __init__(self, stage: Stage, code: int, text: str) -> None:
        super().__init__(f"{stage.value}: {code}")
        self.stage, self.code, self.text = stage, code, text


class _Stale(NoSession):
    """The session ended before the mail was handed over, so it can be sent in another."""


@dataclass(frozen=True, slots=True)
class _Kept:
    smtp: SMTP
    since: float


class SmtpConnections:
    """Sends mails to one server in at most MOST sessions; further mails wait for a session.

    `domain` is the name that the client gives for itself. Raises ConfigurationError for authorities that cannot be
    read.
    """

    def __init__(self, settings: SmtpSettings, domain: str, clock: Clock) -> None:
        self._settings, self._domain, self._clock = settings, domain, clock
        self._tls = _context(settings) if settings.tls else None
        self._free = asyncio.Semaphore(MOST)
        self._kept: list[_Kept] = []

    @property
    def server(self) -> Mapping[str, str | int]:
        """Where the server is, as spans say it."""
        at = self._settings
        return {"server.address": at.host, "server.port": at.port, "network.protocol.name": "smtp"}

    async def send(self, mail: Envelope) -> None:
        """Sends one mail; returns once the server has taken it. Raises SmtpRefusal and NoSession.

        A kept session that has ended is no failure: the mail is sent in another, or in a new one.
        """
        async with self._free:
            while self._kept:
                kept = self._kept.pop()
                if self._clock.monotonic() - kept.since > KEPT_FOR:
                    _abort(kept.smtp)
                    continue
                with suppress(_Stale):
                    await self._transact(kept.smtp, mail)
                    return
            await self._transact(await self._open(), mail)

    async def close(self) -> None:
        """Closes the sessions that are kept."""
        while self._kept:
            smtp = self._kept.pop().smtp
            with suppress(*_BROKEN):
                await smtp.quit(timeout=_GOODBYE)
            _abort(smtp)
        await asyncio.sleep(0)  # lets the loop close the connections, before the loop itself is closed

    async def _open(self) -> SMTP:
        settings = self._settings
        smtp = SMTP(
            hostname=settings.host,
            port=settings.port,
            local_hostname=self._domain,
            username=settings.user or None,
            password=settings.password or None,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=self._tls,
            timeout=None,
        )
        try:
            with _refusals(Stage.SESSION):
                async with asyncio.timeout(settings.timeout):
                    await smtp.connect()
        except _BROKEN as error:
            raise NoSession(_in_words(error)) from error
        return smtp

    async def _transact(self, smtp: SMTP, mail: Envelope) -> None:
        """Sends a mail in a session, which is kept if it is still in order."""
        sound = False
        try:
            async with asyncio.timeout(self._settings.timeout):
                try:
                    await _hand_over(smtp, mail)
                except SmtpRefusal as refusal:
                    sound = await _is_reset(smtp, refusal)
                    raise
            sound = True
        except _BROKEN as error:
            raise NoSession(_in_words(error)) from error
        finally:
            if sound and smtp.is_connected:
                self._kept.append(_Kept(smtp, self._clock.monotonic()))
            else:
                _abort(smtp)


async def _hand_over(smtp: SMTP, mail: Envelope) -> None:
    try:
        with _refusals(Stage.SENDER):
            await smtp.mail(mail.sender)
        with _refusals(Stage.RECIPIENT):
            await smtp.rcpt(mail.recipient)
    except SMTPServerDisconnected as error:
        raise _Stale(_in_words(error)) from error
    except SmtpRefusal as refusal:
        if refusal.code == _CLOSING:
            raise _Stale("the mail server is closing the connection") from refusal
        raise
    with _refusals(Stage.CONTENT):
        await smtp.data(mail.content)


async def _is_reset(smtp: SMTP, refusal: SmtpRefusal) -> bool:
    """Resets a session, so that the next mail finds no half of this one; returns whether it can be used again."""
    if refusal.code == _CLOSING or refusal.code < _A_REPLY:
        return False
    try:
        await smtp.rset()
    except _BROKEN:
        return False
    return True


@contextmanager
def _refusals(stage: Stage) -> Iterator[None]:
    try:
        yield
    except SMTPAuthenticationError as error:
        raise SmtpRefusal(Stage.LOGIN, error.code, error.message) from None
    except SMTPResponseException as error:
        raise SmtpRefusal(stage, error.code, error.message) from None


def _in_words(error: Exception) -> str:
    if isinstance(error, TimeoutError | SMTPTimeoutError):
        return "the mail server does not answer"
    return str(error) or type(error).__name__


def _context(settings: SmtpSettings) -> ssl.SSLContext:
    """Makes the TLS context, with which the server's certificate and name are always checked."""
    try:
        return ssl.create_default_context(cafile=settings.ca)
    except OSError as error:
        raise ConfigurationError(f"notification: smtp_ca {settings.ca} cannot be used: {error}") from None


def _abort(smtp: SMTP) -> None:
    """Ends a session at once, whatever the server does."""
    if smtp.transport is not None:
        cast(asyncio.WriteTransport, smtp.transport).abort()
    smtp.close()
