"""Requests and responses of HTTP/2, on the port that also speaks HTTP/1.1."""

import asyncio
from typing import Any

import h2.events
import pytest

from tests.runtime.process.http2.peer import head, http2, reply, serves, whole

LARGE = 300_000


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await reply(send, scope["method"].encode() + b" " + scope["raw_path"] + b" " + await whole(receive))


async def test_a_request_and_its_response() -> None:
    async with serves(echo) as port, http2(port) as peer:
        stream = await peer.ask(head("POST", "/a%2Fb?c=d"), last=False)
        peer.h2.send_data(stream, b"hello", end_stream=True)
        await peer.flush()
        await peer.until(h2.events.StreamEnded, stream)
        assert (peer.status(stream), peer.body(stream)) == (200, b"POST /a%2Fb hello")


async def test_a_response_may_have_trailers_and_no_header_of_another_version() -> None:
    async def application(_: Any, receive: Any, send: Any) -> None:
        await whole(receive)
        await reply(send, b"x", trailers=[(b"grpc-status", b"0")])

    async with serves(application) as port, http2(port) as peer:
        stream = await peer.ask(head())
        trailers = await peer.until(h2.events.TrailersReceived, stream)
        assert trailers.headers == [(b"grpc-status", b"0")]
        answer = await peer.until(h2.events.ResponseReceived, stream)
        names = [name for name, _ in answer.headers or ()]
        assert b"date" in names
        assert b"connection" not in names


async def test_http_1_is_still_spoken_even_if_it_begins_alike() -> None:
    async with serves(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"P")
        await writer.drain()
        writer.write(b"UT /x HTTP/1.1\r\nhost: souk.test\r\ncontent-length: 1\r\n\r\n!")
        line = await reader.readline()
        assert line == b"HTTP/1.1 200 OK\r\n"
        writer.close()


async def test_the_preface_may_come_an_octet_at_a_time() -> None:
    async with serves(echo) as port, http2(port) as peer:
        await peer.until(h2.events.RemoteSettingsChanged)
        stream = peer.h2.get_next_available_stream_id()
        peer.h2.send_headers(stream, head(), end_stream=True)
        for octet in peer.h2.data_to_send():
            peer.writer.write(bytes([octet]))
            await peer.writer.drain()
        await peer.until(h2.events.StreamEnded, stream)


async def test_a_large_response_waits_for_room_and_others_go_on() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await whole(receive)
        await reply(send, b"x" * LARGE if scope["path"] == "/large" else b"small")

    async with serves(application) as port, http2(port) as peer:
        peer.h2.increment_flow_control_window(LARGE)
        large, small = await peer.ask(head(path="/large")), await peer.ask(head(path="/small"))
        await peer.until(h2.events.StreamEnded, small)
        assert len(peer.body(large)) <= 65_535, "no more than its window"
        peer.h2.increment_flow_control_window(LARGE, large)
        await peer.flush()
        await peer.until(h2.events.StreamEnded, large)
        assert len(peer.body(large)) == LARGE


async def test_a_body_comes_no_faster_than_the_application_reads() -> None:
    reads = asyncio.Event()

    async def application(_: Any, receive: Any, send: Any) -> None:
        await reads.wait()
        await reply(send, str(len(await whole(receive))).encode())

    async with serves(application) as port, http2(port) as peer:
        stream = await peer.ask(head("POST"), last=False)
        await peer.until(h2.events.RemoteSettingsChanged)
        while peer.h2.local_flow_control_window(stream):
            peer.h2.send_data(stream, b"x" * min(16_384, peer.h2.local_flow_control_window(stream)))
        await peer.flush()
        assert not [one for one in peer.seen if isinstance(one, h2.events.WindowUpdated) and one.stream_id == stream]
        reads.set()
        await peer.until(h2.events.WindowUpdated, stream)
        peer.h2.send_data(stream, b"", end_stream=True)
        await peer.flush()
        await peer.until(h2.events.StreamEnded, stream)
        assert peer.body(stream) == b"65535"


async def test_who_gives_up_is_gone_for_the_application_and_the_connection_goes_on() -> None:
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/left":
            told.set_result(await receive())
            await reply(send, b"for nobody")
        else:
            await reply(send, b"here")

    async with serves(application) as port, http2(port) as peer:
        left = await peer.ask(head(path="/left"))
        peer.h2.reset_stream(left)
        await peer.flush()
        assert (await told)["type"] == "http.disconnect"
        stream = await peer.ask(head())
        await peer.until(h2.events.StreamEnded, stream)
        assert peer.body(stream) == b"here"


async def test_an_application_that_answers_early_or_fails_ends_only_its_own_stream() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/fails":
            raise RuntimeError("broken on purpose")
        await reply(send, b"early")

    async with serves(application) as port, http2(port) as peer:
        early, fails = await peer.ask(head("POST", "/early"), last=False), await peer.ask(head("POST", "/fails"))
        assert (await peer.until(h2.events.StreamReset, early)).error_code == 0, "the rest of the body is not wanted"
        assert peer.body(early) == b"early"
        assert (await peer.until(h2.events.StreamReset, fails)).error_code == 2


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ([(":method", "CONNECT"), (":authority", "souk.test")], 501),
        (head(path="*"), 400),
        (head("GET", "/", *((f"x-{number}", "y") for number in range(200))), 431),
    ],
    ids=["a tunnel", "a star", "many fields"],
)  # fmt: skip
async def test_a_wrong_head_is_refused(wrong: list[tuple[str, str]], status: int) -> None:
    async with serves(echo) as port, http2(port) as peer:
        stream = await peer.ask(wrong)
        await peer.until(h2.events.StreamEnded, stream)
        assert peer.status(stream) == status


async def test_two_hosts_break_the_rules() -> None:
    async with serves(echo) as port, http2(port) as peer:
        await peer.ask(head("GET", "/a", ("host", "other.test")))
        assert (await peer.until(h2.events.ConnectionTerminated)).error_code == 1
