"""Streams that tell pages when they have changed: what they say, for how many, and when they end."""

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest

from souk.console import live
from souk.console.live import LiveOperator, LivePages
from souk.gateway.http.answers import StreamedAnswer
from souk.gateway.http.problem import Problem
from souk.kernel.clock import SystemClock

SAFETY = 60.0
CHANGED, BEAT = b"event: changed", b"event: beat"


class Page:
    """A page whose data a test changes; it counts how often it is read."""

    def __init__(self) -> None:
        self.data, self.reads = b"a", 0

    async def show(self) -> bytes:
        self.reads += 1
        return self.data


class Gateway:
    def __init__(self) -> None:
        self.serves, self.may, self.page = True, True, Page()
        self.pages = LivePages(self, SystemClock(), lambda: self.serves, every=0.02)  # type: ignore[arg-type]

    async def still_there(self, request: object) -> bool:
        return self.may

    def open(
        self, subject: str = "U-1", login: str = "U-1/1", path: str = "/console", request: Any = None
    ) -> StreamedAnswer:
        return self.pages.stream(
            request or SimpleNamespace(span=None, route=""), path, self.page.show, LiveOperator(subject, login), []
        )


async def following(body: AsyncGenerator[bytes, None], event: bytes) -> None:
    """Reads on until an event comes."""
    async with asyncio.timeout(SAFETY):
        async for part in body:
            if part.startswith(event):
                return
    raise AssertionError(f"the stream has ended without {event!r}")


async def ended(body: AsyncGenerator[bytes, None]) -> None:
    async with asyncio.timeout(SAFETY):
        async for _ in body:
            pass


async def test_a_change_is_told_once_and_silence_is_broken() -> None:
    gateway, request = Gateway(), SimpleNamespace(span=None, route="/console")
    answer = gateway.open(request=request)
    assert (b"content-type", b"text/event-stream") in answer.headers
    assert request.route == "/console stream", "its length must not count as that of a request"
    await following(answer.body, CHANGED)
    await following(answer.body, BEAT)
    gateway.page.data = b"b"
    async with asyncio.timeout(SAFETY):
        while not (part := await anext(answer.body)).startswith(CHANGED):
            assert part.startswith(BEAT)
    await answer.body.aclose()
    assert gateway.pages.open == 0


async def test_all_who_look_at_a_page_share_its_reads() -> None:
    gateway = Gateway()
    bodies = [gateway.open(f"U-{number}", f"U-{number}/1").body for number in range(10)]
    await asyncio.gather(*(following(body, CHANGED) for body in bodies))
    assert gateway.page.reads < 10
    assert gateway.pages.open == 10
    await asyncio.gather(*(body.aclose() for body in bodies))


async def test_one_too_many_is_refused_and_one_operator_does_not_take_all() -> None:
    gateway = Gateway()
    mine = [gateway.open().body for _ in range(live.MOST_EACH)]
    await asyncio.gather(*(following(body, CHANGED) for body in mine))
    with pytest.raises(Problem) as refused:
        gateway.open()
    assert (refused.value.status, refused.value.code) == (503, "TOO_MANY_STREAMS")
    others = [gateway.open(f"U-{number}", "x").body for number in range(2, 2 + live.MOST - live.MOST_EACH)]
    late = gateway.open("U-late", "x").body  # let in, and begun once there is no room any more
    await asyncio.gather(*(following(body, CHANGED) for body in others))
    with pytest.raises(Problem):
        gateway.open("U-more", "x")
    await ended(late)
    await asyncio.gather(*(body.aclose() for body in (*mine, *others)))
    assert gateway.pages.open == 0


@pytest.mark.parametrize("how", ["drain", "logout", "demoted"])
async def test_it_ends_with(how: str) -> None:
    gateway = Gateway()
    mine, other = gateway.open().body, gateway.open("U-2", "U-2/1").body
    await asyncio.gather(following(mine, CHANGED), following(other, CHANGED))
    if how == "drain":
        gateway.serves = False
    elif how == "logout":
        gateway.pages.end("U-1/1")
    else:
        gateway.may = False
    await ended(mine)
    if how == "logout":
        await following(other, BEAT)
        await other.aclose()
    else:
        await ended(other)
    assert gateway.pages.open == 0


async def test_a_client_that_leaves_frees_its_place() -> None:
    gateway = Gateway()
    body = gateway.open().body
    await following(body, CHANGED)

    async def go_on() -> None:
        await following(body, b"never")

    reading = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await body.aclose()
    assert gateway.pages.open == 0
