"""Readiness probes: how the supervisor finds that a process takes calls, by a line of its output or by asking it."""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from souk.kernel.addresses import unix_address


class ReadinessProbe(Protocol):
    """Both methods return the address at which the process takes calls, or None while it does not."""

    def on_line(self, line: bytes) -> str | None:
        """Judges a line that the process wrote."""
        ...

    def poll(self, pid: int) -> str | None:
        """Checks the process; called again and again."""
        ...


@dataclass(frozen=True, slots=True)
class LineProbe:
    """Finds a process ready by a line that matches `pattern`, whose group `address` is the address unless that is
    given."""

    pattern: re.Pattern[bytes]
    address: str = ""

    def on_line(self, line: bytes) -> str | None:
        found = self.pattern.search(line)
        if found is None:
            return None
        return self.address or found["address"].decode()

    def poll(self, pid: int) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class PollProbe:
    """Finds a process ready at `address` once `check`, called with its pid, is true."""

    check: Callable[[int], bool]
    address: str

    def on_line(self, line: bytes) -> str | None:
        return None

    def poll(self, pid: int) -> str | None:
        return self.address if self.check(pid) else None


def ready_line(service: str) -> LineProbe:
    """Makes a probe for the line that `souk serve` prints."""
    return LineProbe(re.compile(rb"^ready " + re.escape(service.encode()) + rb" (?P<address>\S+)$"))


def accepts(path: Path) -> PollProbe:
    """Makes a probe that is true once a process listens on a unix socket."""

    def check(pid: int) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(path)) == 0

    return PollProbe(check, unix_address(path))


_EVERY = 0.05
_PATIENCE = 5.0
_REQUEST = "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"


async def answers_ready(address: str, *, tls: bool = False) -> None:
    """Returns once GET /readyz at `address` (host:port) is answered with 200.

    With `tls` the certificate is not verified: the socket is our own, and the certificate names a public host.
    """
    while not await _is_ready(address, tls):  # noqa: ASYNC110 - the server is in another process
        await asyncio.sleep(_EVERY)


async def _is_ready(address: str, tls: bool) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            return b" 200 " in await _first_line(address, tls)
    return False


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _first_line(address: str, tls: bool) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=_unverified() if tls else None)
    try:
        writer.write(_REQUEST.format(address=address).encode())
        return await reader.readline()
    finally:
        writer.close()
