"""Sends calls, again if need be: `SyncCaller`, and `AsyncCaller` for asyncio. The generated clients extend them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import Any, Self

import httpx

from souk_client.call import Call, failure_by, failure_in, value_of
from souk_client.errors import ApiError, ClientError
from souk_client.retries import Attempts, Retries, RetryBudget
from souk_client.tokens import EARLY, expires

_UNAUTHENTICATED = 401


@dataclass(slots=True)
class _Settings:
    """What both callers are given. `url` is that of the gateway.

    `token` is an access token, which may be set later; without it `api_key` is sent, if there is one. All calls share
    one budget of retries.
    """

    url: str
    token: str = field(default="", repr=False, kw_only=True)
    api_key: str = field(default="", repr=False, kw_only=True)
    retries: Retries = field(default_factory=Retries, kw_only=True)
    _budget: RetryBudget = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parsed = httpx.URL(self.url)
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ValueError(f"{self.url!r} is not the URL of a system, such as http://127.0.0.1:8080")
        self.url = self.url.rstrip("/")
        self._budget = RetryBudget(self.retries)

    def headers(self) -> dict[str, str]:
        """Returns the headers that say who calls."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        return {"X-API-Key": self.api_key} if self.api_key else {}

    def attempts(self, call: Call) -> Attempts:
        """Begins the tries of a call."""
        self._budget.earn()
        return Attempts(self.retries, call.may_repeat, time.monotonic(), self._budget)

    def needs_renewal(self) -> bool:
        """Whether there is no token yet, or one that ends soon."""
        return not self.token or expires(self.token) - EARLY <= time.time()


def _pause(attempts: Attempts, call: Call, failed: Exception) -> tuple[float | None, ClientError]:
    """Returns how long to wait before the next try, or None, and the error if there is none."""
    now = time.monotonic()
    if isinstance(failed, ApiError):
        return attempts.pause(failure_by(failed), now, failed.retry_after), failed
    return attempts.pause(failure_in(failed), now), call.unanswered(failed, attempts.count)


def _is_refused_token(failed: Exception) -> bool:
    """Whether a try failed for its token: nothing was done then."""
    return isinstance(failed, ApiError) and failed.status == _UNAUTHENTICATED


@dataclass(slots=True)
class SyncCaller(_Settings):
    """Sends calls, from any thread. `http` is an httpx client of your own, for proxies, certificates or hooks.

    `renew` returns a new access token. It is called before a call whose token is missing or ends within 30 s, and once
    in a call that is answered with 401; by one thread at a time. It must not call this client.

    One step of a try, such as the wait for the answer, may go on beyond the deadline by `try_timeout`.
    """

    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=None), repr=False, kw_only=True)
    renew: Callable[[], str] | None = field(default=None, repr=False, kw_only=True)
    _renewing: Lock = field(default_factory=Lock, init=False, repr=False)

    def request(self, method: str, path: str, body: Any = None, *, repeatable: bool = False) -> Any:
        """Sends a request to any path, and returns the JSON of its answer.

        Raises ApiError and NoAnswer. `repeatable` says that a second time does no harm.
        """
        return self.call(Call(method, path, body, repeatable=repeatable))

    def call(self, call: Call) -> Any:
        """Sends a call, again if need be, and returns the JSON of its answer. Raises ApiError and NoAnswer."""
        attempts = self.attempts(call)
        if self.renew is not None and self.needs_renewal():
            self._renew(self.token)
        while True:
            limit, token = attempts.next(time.monotonic()), self.token
            request = call.request(self.http, self.url, self.headers())
            request.extensions["timeout"] = httpx.Timeout(limit).as_dict()
            try:
                response = self.http.send(request)
                if response.is_success:
                    return value_of(response)
                raise call.refused(response, attempts.count)
            except (ApiError, httpx.RequestError) as failed:
                if self.renew is not None and _is_refused_token(failed) and attempts.renew(time.monotonic()):
                    self._renew(token)
                    continue
                pause, error = _pause(attempts, call, failed)
                if pause is None:
                    raise error from (None if error is failed else failed)
            time.sleep(pause)

    def _renew(self, used: str) -> None:
        """Renews the token, unless another thread has done so since `used` was."""
        with self._renewing:
            if self.renew is not None and self.token == used:
                self.token = self.renew()

    def close(self) -> None:
        """Closes the connections."""
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(slots=True)
class AsyncCaller(_Settings):
    """Sends calls from one event loop. `http` is an httpx client of your own, for proxies, certificates or hooks.

    `renew` is awaited for a new access token, as that of `SyncCaller` is called; by one task at a time.
    """

    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=None), repr=False, kw_only=True)
    renew: Callable[[], Awaitable[str]] | None = field(default=None, repr=False, kw_only=True)
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)

    async def request(self, method: str, path: str, body: Any = None, *, repeatable: bool = False) -> Any:
        """Sends a request to any path, and returns the JSON of its answer.

        Raises ApiError and NoAnswer. `repeatable` says that a second time does no harm.
        """
        return await self.call(Call(method, path, body, repeatable=repeatable))

    async def call(self, call: Call) -> Any:
        """Sends a call, again if need be, and returns the JSON of its answer. Raises ApiError and NoAnswer."""
        attempts = self.attempts(call)
        if self.renew is not None and self.needs_renewal():
            await self._renew(self.token)
        while True:
            limit, token = attempts.next(time.monotonic()), self.token
            request = call.request(self.http, self.url, self.headers())
            request.extensions["timeout"] = httpx.Timeout(limit).as_dict()
            try:
                async with asyncio.timeout(attempts.time_left(time.monotonic())):
                    response = await self.http.send(request)
                if response.is_success:
                    return value_of(response)
                raise call.refused(response, attempts.count)
            except (ApiError, httpx.RequestError, TimeoutError) as failed:
                if self.renew is not None and _is_refused_token(failed) and attempts.renew(time.monotonic()):
                    await self._renew(token)
                    continue
                pause, error = _pause(attempts, call, failed)
                if pause is None:
                    raise error from (None if error is failed else failed)
            await asyncio.sleep(pause)

    async def _renew(self, used: str) -> None:
        """Renews the token, unless another task has done so since `used` was."""
        async with self._renewing:
            if self.renew is not None and self.token == used:
                self.token = await self.renew()

    async def close(self) -> None:
        """Closes the connections."""
        await self.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
