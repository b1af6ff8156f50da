"""An HTTP client for the JSON APIs of registries, for short calls and for calls that wait."""

import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from souk.discovery.external.leases import RegistryAway
from souk.discovery.external.tls import context_of
from souk.discovery.external.url_options import UrlOptions

CALL = 5.0
"""Time-out in seconds of a call that does not wait."""
CONNECT = 3.0
"""Time-out in seconds for making a connection."""

_REFUSED = (401, 403)

T = TypeVar("T")


class Unreached(RegistryAway):
    """There was no connection, so no request was sent."""


@dataclass(frozen=True, slots=True)
class ApiReply:
    """An answer below 500; `body` is its JSON, or None without one."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Api:
    """A client of the HTTP API of one registry. Every failure is a RegistryAway.

    Of several addresses one is used as long as it answers. If it cannot be reached, the others are tried
    within the same call; after any other failure the next call goes to the next address.
    """

    def __init__(self, name: str, options: UrlOptions, headers: Mapping[str, str] | None = None) -> None:
        self._names = [f"{name} at {address}" for address in options.addresses]
        self._origins = options.origins
        self._at = 0
        self._options = options
        self._answered = False
        self._client = httpx.AsyncClient(
            headers={"Accept": "application/json", **(headers or {})},
            # A registry is near: no proxy that the environment names is used for it.
            trust_env=False,
            transport=httpx.AsyncHTTPTransport(
                verify=context_of(options),
                trust_env=False,
                # Every watch takes a connection of its own.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=4),
                socket_options=_keep_alive(),
            ),
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        allowed: tuple[int, ...] = (),
        patience: float = CALL,
    ) -> ApiReply:
        """Makes a call within `patience` seconds. An answer that is neither a success nor in `allowed` is a failure."""

        async def ask(at: int) -> ApiReply:
            answer = await self._client.request(
                method,
                f"{self._origins[at]}{path}",
                params=params,
                json=json,
                headers=headers,
                timeout=httpx.Timeout(patience, connect=CONNECT),
            )
            self._check(at, answer, allowed)
            body = answer.json() if answer.is_success and answer.content.strip() else None
            return ApiReply(answer.status_code, answer.headers, body)

        return await self._in_turn(ask)

    @asynccontextmanager
    async def lines(
        self, path: str, json: Any, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[AsyncGenerator[str, None], None]:
        """Posts a request, and yields the lines of an answer that does not end by itself."""
        timeout = httpx.Timeout(CALL, connect=CONNECT, read=None)
        async with AsyncExitStack() as stack:

            async def begin(at: int) -> AsyncGenerator[str, None]:
                url = f"{self._origins[at]}{path}"
                stream = self._client.stream("POST", url, json=json, headers=headers, timeout=timeout)
                answer = await stack.enter_async_context(stream)
                self._check(at, answer, ())
                return self._lines(at, answer)

            yield await self._in_turn(begin)

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def _in_turn(self, ask: Callable[[int], Awaitable[T]]) -> T:
        """Asks the address that answered last, then each of the others until one can be reached."""
        for _ in self._origins[1:]:
            at = self._at
            try:
                with self._understood(at):
                    return await ask(at)
            except Unreached:
                continue
        at = self._at
        with self._understood(at):
            return await ask(at)

    async def _lines(self, at: int, answer: httpx.Response) -> AsyncGenerator[str, None]:
        with self._understood(at):
            async for line in answer.aiter_lines():
                yield line
            raise RegistryAway(f"{self._names[at]} has ended the watch")

    def _check(self, at: int, answer: httpx.Response, allowed: tuple[int, ...]) -> None:
        self._answered = True
        if answer.is_success or answer.status_code in allowed:
            return
        text = answer.text[:120] if answer.is_stream_consumed else ""
        line = ": ".join(filter(None, (f"{answer.status_code} {answer.reason_phrase}", text)))
        if answer.status_code not in _REFUSED:
            raise RegistryAway(f"{self._names[at]} answers {line}")
        who = "what the registry's URL has" if self._options.password else "a call without"
        raise RegistryAway(f"{self._names[at]} refuses {who} as password or token: {line}")

    @contextmanager
    def _understood(self, at: int) -> Generator[None, None, None]:
        """Raises every failure as a RegistryAway, and turns to the next address."""
        try:
            yield
        except RegistryAway:
            self._turn_from(at)
            raise
        # The server refuses a certificate only after the request was sent, and httpx does not wrap that SSLError.
        except (httpx.HTTPError, httpx.StreamError, ssl.SSLError) as error:
            self._turn_from(at)
            kind = Unreached if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else RegistryAway
            why = f"{str(error) or type(error).__name__}{self._hint(error)}"
            raise kind(f"{self._names[at]} cannot be reached: {why}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._turn_from(at)
            raise RegistryAway(f"{self._names[at]} answers what it should not: {error!r}") from error

    def _hint(self, error: Exception) -> str:
        """Returns a hint for the message when a server ends the first connection without a clear error."""
        if self._answered or not self._options.tls or not isinstance(error, httpx.ReadError | ssl.SSLError):
            return ""
        shown = "does not take this certificate" if self._options.cert else "wants to see a certificate: cert=FILE"
        return f" (maybe it {shown})"

    def _turn_from(self, at: int) -> None:
        # A call that fails late must not turn back an address that others have chosen meanwhile.
        if self._at == at:
            self._at = (at + 1) % len(self._origins)


def _keep_alive() -> list[tuple[int, int, int]]:
    """Returns socket options by which TCP notices within 25 s that a peer is cut off while a call waits."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
