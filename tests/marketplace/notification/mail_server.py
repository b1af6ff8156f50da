"""A real SMTP server on loopback (aiosmtpd) that refuses, stalls or drops the connection wherever a test says."""

import asyncio
import email
import email.policy
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

STALL = "stall"
DROP = "drop"
STAGES = ("GREETING", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "CONTENT", "RSET")
USER, PASSWORD = "shop", "pass:word/1"


@dataclass
class MailServer:
    """A server. `moods` says what happens at a stage of STAGES: STALL, DROP, or a reply such as "550 no".

    With CONTENT the mail was received: it is in `mails` whatever the server does then, unless it refuses it.
    `tls` with `wrapped` speaks TLS from the first byte, without it offers STARTTLS. `login` demands AUTH.
    """

    tls: ssl.SSLContext | None = None
    wrapped: bool = False
    login: bool = False
    moods: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    sessions: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    most_at_once: int = 0
    hold: asyncio.Event | None = None
    held: int = 0
    _open: set["_Session"] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens, on the same port as before if it did."""
        context = self.tls if self.wrapped else None
        self._server = await asyncio.get_running_loop().create_server(self._session, self.host, self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops listening, and ends every connection."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.sleep(0)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Ends every connection."""
        for session in tuple(self._open):
            if session.transport is not None:
                session.transport.abort()

    def _session(self) -> "_Session":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a login without TLS is what some tests are about
            return _Session(self)

    async def handle_DATA(self, session: "_Session", envelope: Any) -> str:
        """Receives a mail."""
        mood = self.moods.get("CONTENT")
        if self.hold is not None:
            self.held += 1
            await self.hold.wait()
        if mood in (None, STALL, DROP):
            self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))  # type: ignore[arg-type]
            self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        if await session.acts("CONTENT"):
            await asyncio.Event().wait()
        return mood or "250 2.0.0 queued"


class _Handler:
    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_DATA(self, smtp: "_Session", session: Any, envelope: Any) -> str:
        return await self._server.handle_DATA(smtp, envelope)


class _Session(SMTP):
    def __init__(self, server: MailServer) -> None:
        self.server = server
        super().__init__(
            _Handler(server),
            hostname="mail.test",
            tls_context=None if server.wrapped else server.tls,
            authenticator=_authenticate,
            auth_required=server.login,
            auth_require_tls=server.tls is not None and not server.wrapped,
            loop=asyncio.get_running_loop(),
        )

    def connection_made(self, transport: Any) -> None:
        if self not in self.server._open:
            self.server.sessions += 1
        self.server._open.add(self)
        self.server.most_at_once = max(self.server.most_at_once, len(self.server._open))
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.server._open.discard(self)
        super().connection_lost(error)

    async def acts(self, stage: str) -> bool:
        """Does what the server's mood at this stage is; returns False if there is none."""
        self.server.commands.append(stage)
        mood = self.server.moods.get(stage)
        if mood is None:
            return False
        if mood == STALL:
            await asyncio.Event().wait()
        elif mood == DROP:
            assert self.transport is not None
            self.transport.abort()
        elif stage != "CONTENT":
            await self.push(mood)
            if mood.startswith("421"):
                assert self.transport is not None
                self.transport.close()
        return mood in (STALL, DROP) or stage != "CONTENT"

    async def _handle_client(self) -> None:
        if not await self.acts("GREETING"):
            await super()._handle_client()

    async def smtp_EHLO(self, hostname: str) -> None:
        if not await self.acts("EHLO"):
            await super().smtp_EHLO(hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:
        if not await self.acts("STARTTLS"):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:
        if not await self.acts("AUTH"):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str | None) -> None:
        if not await self.acts("MAIL"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:
        if not await self.acts("RCPT"):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:
        if not await self.acts("DATA"):
            await super().smtp_DATA(arg)

    async def smtp_RSET(self, arg: str) -> None:
        if not await self.acts("RSET"):
            await super().smtp_RSET(arg)


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def mail_server(**options: Any) -> AsyncIterator[MailServer]:
    """A server that listens inside the block."""
    server = MailServer(**options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
