"""Clients of HTTP/2 that are slow, silent or hostile, and servers that leave: seen from outside."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import h2.errors
import h2.events
import h2.settings
import pytest
from hyperframe.frame import GoAwayFrame, PingFrame, RstStreamFrame, SettingsFrame

from souk.http2.frames import MOST_TABLE
from souk.runtime.process.http.http2.budget import MOST_STREAMS
from souk.runtime.process.http.limits import HttpLimits
from tests.runtime.process.http2.peer import PATIENCE, Http2Peer, head, http2, reply, serves, whole

IMPATIENT = HttpLimits(first_octet=0.3, head=0.3, body=0.3, write=0.3, idle=0.3)
CALM = h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


async def application(scope: Any, receive: Any, send: Any) -> None:
    await whole(receive)
    await reply(send, b"x" * 200_000 if scope["path"] == "/large" else b"")


async def test_who_asks_nothing_is_not_waited_for() -> None:
    async with serves(application, IMPATIENT) as port, http2(port) as peer:
        assert (await peer.until(h2.events.ConnectionTerminated)).error_code == 0
        await peer.closed()


async def test_who_never_sends_the_body_is_not_waited_for() -> None:
    async with serves(application, IMPATIENT) as port, http2(port) as peer:
        stream = await peer.ask(head("POST"), last=False)
        reset = await peer.until(h2.events.StreamReset, stream)
        assert reset.error_code == h2.errors.ErrorCodes.CANCEL


async def test_who_makes_no_room_is_not_waited_for() -> None:
    async with serves(application, IMPATIENT) as port, http2(port) as peer:
        stream = await peer.ask(head(path="/large"))
        reset = await peer.until(h2.events.StreamReset, stream)
        assert reset.error_code == h2.errors.ErrorCodes.CANCEL
        assert len(peer.body(stream)) == 65_535


async def test_who_makes_room_an_octet_at_a_time_is_not_waited_for() -> None:
    async def widening(peer: Http2Peer, stream: int) -> None:
        while True:
            peer.h2.increment_flow_control_window(1, stream)
            peer.h2.increment_flow_control_window(1)
            await peer.flush()
            await asyncio.sleep(0.05)

    async with serves(application, IMPATIENT) as port, http2(port) as peer:
        stream = await peer.ask(head(path="/large"))
        slowly = asyncio.create_task(widening(peer, stream))
        await peer.until(h2.events.StreamReset, stream)
        slowly.cancel()


@pytest.mark.parametrize(
    "frame",
    [PingFrame(0, b"12345678"), SettingsFrame(0, settings={4: 65_535})],
    ids=["pings", "settings"],
)
async def test_a_flood_of_cheap_frames_ends_the_connection(frame: Any) -> None:
    async with serves(application) as port, http2(port) as peer:
        peer.writer.write(frame.serialize() * 2_000)
        ended = await peer.until(h2.events.ConnectionTerminated)
        assert ended.error_code == CALM
        await peer.closed()


async def test_rapid_resets_start_no_more_than_the_limit_and_end_the_connection() -> None:
    running, most = 0, 0
    leave = asyncio.Event()

    async def slow(_: Any, receive: Any, send: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await leave.wait()
        running -= 1

    async with serves(slow) as port, http2(port) as peer:
        for _ in range(1_000):
            stream = peer.h2.get_next_available_stream_id()
            peer.h2.send_headers(stream, head(), end_stream=True)
            peer.h2.reset_stream(stream)
        await peer.flush()
        assert (await peer.until(h2.events.ConnectionTerminated)).error_code == CALM
        leave.set()
    assert most == MOST_STREAMS


async def test_a_reset_of_an_unknown_stream_breaks_the_rules() -> None:
    async with serves(application) as port, http2(port) as peer:
        peer.writer.write(RstStreamFrame(99, 0).serialize())
        ended = await peer.until(h2.events.ConnectionTerminated)
        assert ended.error_code == h2.errors.ErrorCodes.PROTOCOL_ERROR


async def test_a_head_without_end_is_refused() -> None:
    async with serves(application) as port, http2(port) as peer:
        await peer.until(h2.events.RemoteSettingsChanged)
        peer.h2.remote_settings.max_header_list_size = 10_000_000
        await peer.ask(head("GET", "/", *((f"x-{number}", "y" * 1_000) for number in range(100))))
        ended = await peer.until(h2.events.ConnectionTerminated)
        assert ended.error_code == CALM


async def test_a_server_that_leaves_answers_what_it_has_begun() -> None:
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Any, receive: Any, send: Any) -> None:
        began.set()
        await goes_on.wait()
        await reply(send, b"late")

    async with AsyncExitStack() as server:
        port = await server.enter_async_context(serves(slow))
        async with http2(port) as peer:
            await peer.ask(head())
            await began.wait()
            leaving = asyncio.create_task(server.aclose())
            assert (await peer.until(h2.events.ConnectionTerminated)).error_code == 0
            goes_on.set()
            # The client of h2 reads no more after a GOAWAY, so the octets are looked at.
            assert b"late" in await asyncio.wait_for(peer.reader.read(), PATIENCE)
            await leaving


async def test_a_frame_that_is_too_long_is_refused_before_it_is_kept() -> None:
    async with serves(application) as port, http2(port) as peer:
        peer.writer.write(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01")
        ended = await peer.until(h2.events.ConnectionTerminated)
        assert ended.error_code == h2.errors.ErrorCodes.FRAME_SIZE_ERROR


async def test_who_says_goodbye_still_gets_the_answers() -> None:
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Any, receive: Any, send: Any) -> None:
        began.set()
        await goes_on.wait()
        await reply(send, b"late")

    async with serves(slow) as port, http2(port) as peer:
        stream = await peer.ask(head())
        await began.wait()
        peer.writer.write(GoAwayFrame(0).serialize())
        await peer.writer.drain()
        await peer.until(h2.events.ConnectionTerminated)  # the server's, after it has read the client's
        goes_on.set()
        assert b"late" in await asyncio.wait_for(peer.reader.read(), PATIENCE)
        assert stream == 1


async def test_the_table_of_fields_that_are_sent_stays_small() -> None:
    """The client allows one of 2 GiB, and each answer has fields of its own."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await reply(send)

    async with serves(application) as port, http2(port) as peer:
        peer.h2.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: 2**31 - 1})
        for _ in range(3):
            await peer.until(h2.events.StreamEnded, await peer.ask(head()))
        assert peer.h2.decoder.header_table.maxsize <= MOST_TABLE
