"""HTTP as registries speak it: JSON, one short call, or one that waits."""

import socket
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from souk.discovery.claims import RegistryAway
from souk.discovery.options import Options

CALL = 5.0
"""Seconds for a call that does not wait."""
CONNECT = 3.0
"""Seconds for a connection."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer below 500; `body` is its JSON, or None without one."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Api:
    """The HTTP API of one registry. Every failure is a RegistryAway."""

    def __init__(self, name: str, options: Options, headers: Mapping[str, str] | None = None) -> None:
        self._name = f"{name} at {options.address}"
        self._client = httpx.AsyncClient(
            base_url=options.origin,
            headers={"Accept": "application/json", **(headers or {})},
            # A registry is near: no proxy of the environment stands before it.
            trust_env=False,
            transport=httpx.AsyncHTTPTransport(
                trust_env=False,
                # Every watch waits on a connection of its own.
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
    ) -> Reply:
        """Calls; an answer that is neither a success nor in `allowed` is a failure."""
        with self._understood():
            answer = await self._client.request(
                method,
                path,
                params=params,
                json=json,
                headers=headers,
                timeout=httpx.Timeout(patience, connect=CONNECT),
            )
            self._check(answer, allowed)
            body = answer.json() if answer.is_success and answer.content.strip() else None
            return Reply(answer.status_code, answer.headers, body)

    @asynccontextmanager
    async def lines(
        self, path: str, json: Any, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[AsyncGenerator[str, None], None]:
        """Posts, and gives the lines of an answer that does not end by itself."""
        with self._understood():
            timeout = httpx.Timeout(CALL, connect=CONNECT, read=None)
            async with self._client.stream("POST", path, json=json, headers=headers, timeout=timeout) as answer:
                self._check(answer, ())
                yield self._lines(answer)

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.aclose()

    async def _lines(self, answer: httpx.Response) -> AsyncGenerator[str, None]:
        with self._understood():
            async for line in answer.aiter_lines():
                yield line
        raise RegistryAway(f"{self._name} has ended the watch")

    def _check(self, answer: httpx.Response, allowed: tuple[int, ...]) -> None:
        if not answer.is_success and answer.status_code not in allowed:
            said = "" if not answer.is_stream_consumed else f": {answer.text[:120]}"
            raise RegistryAway(f"{self._name} answers {answer.status_code} {answer.reason_phrase}{said}")

    @contextmanager
    def _understood(self) -> Generator[None, None, None]:
        try:
            yield
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise RegistryAway(f"{self._name} cannot be reached: {error or type(error).__name__}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RegistryAway(f"{self._name} answers what it should not: {error!r}") from error


def _keep_alive() -> list[tuple[int, int, int]]:
    """A peer that is cut off while a call waits is noticed within 25 s, by TCP."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
