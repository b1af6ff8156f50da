"""A limit of requests that run at once on one route, each until its answer is sent."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any

from souk.gateway.http.answers import Answer, StreamedAnswer, SwitchedAnswer, SwitchingClient, Tunnelled
from souk.gateway.http.problem import Problem
from souk.gateway.overload.gate import OVERLOADED, RETRY_AFTER


class RouteLimit:
    """At most `most` requests at once; one more is refused, and none waits. `running` and `refused` are for metrics."""

    def __init__(self, most: int) -> None:
        self.most, self.running, self.refused = most, 0, 0

    async def run(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Makes a call that answers; the request runs until the whole answer is sent, or its connection ends.

        Raises Problem 503 when there is no room, and what the call raises.
        """
        if self.running >= self.most:
            self.refused += 1
            detail = f"this route takes at most {self.most} requests at once"
            raise Problem(503, OVERLOADED, detail, retry_after=RETRY_AFTER)
        permit = _Permit(self)
        try:
            answer = await call()
        except BaseException:
            permit.leave()
            raise
        if isinstance(answer, StreamedAnswer):
            return replace(answer, body=_Body(answer.body, permit))
        if isinstance(answer, SwitchedAnswer):
            return replace(answer, tunnel=_HeldTunnel(answer.tunnel, permit))
        permit.leave()
        return answer


class _Permit:
    """What one request holds of a limit, until it leaves for the first time."""

    __slots__ = ("_limit",)

    def __init__(self, limit: RouteLimit) -> None:
        self._limit: RouteLimit | None = limit
        limit.running += 1

    def leave(self) -> None:
        if self._limit is not None:
            self._limit.running -= 1
            self._limit = None


class _Body(AsyncGenerator[bytes, None]):
    """The body of an answer. A class, as a generator of which nothing was read runs nothing when it is closed."""

    __slots__ = ("_body", "_permit")

    def __init__(self, body: AsyncGenerator[bytes, None], permit: _Permit) -> None:
        self._body, self._permit = body, permit

    async def asend(self, value: None) -> bytes:
        return await self._body.asend(value)

    async def athrow(self, *error: Any) -> bytes:
        return await self._body.athrow(*error)

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            self._permit.leave()


class _HeldTunnel:
    __slots__ = ("_permit", "_tunnel")

    def __init__(self, tunnel: Tunnelled, permit: _Permit) -> None:
        self._tunnel, self._permit = tunnel, permit

    async def run(self, client: SwitchingClient, head: bytes) -> None:
        try:
            await self._tunnel.run(client, head)
        finally:
            self._permit.leave()

    def close(self) -> None:
        self._tunnel.close()
        self._permit.leave()
