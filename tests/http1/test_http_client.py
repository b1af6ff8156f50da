"""The small HTTP client: what it sends, what it refuses to send, and how it tells what came back."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from souk.http1.client import LONGEST_ANSWER, HttpClient, NoAnswer, NotSent
from souk.http1.reader import HEAD_LIMIT
from souk.testing.certificates import Authority

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """Answers the requests in turn with `answers`; `heads` are what came.

    It ends a connection after an answer that is only an interim one, and after the last.
    """

    def __init__(self, answers: list[bytes]) -> None:
        self.answers, self.heads, self.connections, self.port = list(answers), list[str](), 0, 0

    def url(self, login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.port}/"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
                answer = self.answers.pop(0)
                writer.write(answer)
                await writer.drain()
                if answer.startswith(b"HTTP/1.1 1") and not answer.endswith(OK):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[Server]:
    server = Server(list(answers))
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listener:
        server.port = listener.sockets[0].getsockname()[1]
        yield server


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[HttpClient]:
    client = HttpClient(url, 5.0)
    try:
        yield client
    finally:
        await client.close()


async def test_a_login_in_the_url_is_not_sent_as_the_name_of_the_host() -> None:
    async with answering(OK) as server, client_of(server.url("user:secret@")) as client:
        assert await client.request("GET", "/x", None, {}) == (200, b"{}")
        assert f"host: 127.0.0.1:{server.port}\r\n" in server.heads[0]
        assert "secret" not in server.heads[0]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/x", {"key": "a\r\nx-other: b"}),
        ("/x", {"key": "a\nb"}),
        ("/x", {"key": "a\rb"}),
        ("/x", {"key": "a\0b"}),
        ("/x", {"key": "é"}),
        ("/x", {"key\r\nx-other": "b"}),
        ("/x", {"key ": "b"}),
        ("/x", {"": "b"}),
        ("/x HTTP/1.1\r\nx-other: b\r\n", {}),
        ("/x\n", {}),
        ("/x y", {}),
        ("/é", {}),
    ],
)
async def test_what_would_be_another_request_is_not_sent(path: str, headers: dict[str, str]) -> None:
    async with answering(OK, OK) as server, client_of(server.url()) as client:
        await client.request("GET", "/x", None, {"key": "a b\tc"})
        with pytest.raises(NotSent, match="not allowed in"):
            await client.request("GET", path, None, headers)
        await client.request("GET", "/y", None, {})
        assert [head.split("\r\n")[0] for head in server.heads] == ["GET /x HTTP/1.1", "GET /y HTTP/1.1"]


async def test_an_answer_over_the_limit_is_called_too_large() -> None:
    too_large = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (LONGEST_ANSWER + 1) + b"x" * (LONGEST_ANSWER + 1)
    async with answering(too_large) as server, client_of(server.url()) as client:
        with pytest.raises(NoAnswer, match=r"^the answer is too large: a body of \d+ octets$"):
            await client.request("GET", "/x", None, {})


async def test_a_head_over_the_limit_is_called_too_large() -> None:
    too_large = b"HTTP/1.1 200 OK\r\nx: " + b"x" * HEAD_LIMIT + b"\r\n\r\n"
    async with answering(too_large) as server, client_of(server.url()) as client:
        with pytest.raises(NoAnswer, match=r"^the answer is too large: a head of more than 65536 octets$"):
            await client.request("GET", "/x", None, {})


async def test_what_is_not_http_is_called_that() -> None:
    async with answering(b"who knows\r\n\r\n") as server, client_of(server.url()) as client:
        with pytest.raises(NoAnswer, match=r"^the answer is not HTTP: "):
            await client.request("GET", "/x", None, {})


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"])
@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 300_000])
async def test_an_answer_without_a_length_lasts_until_the_connection_is_closed(head: bytes, body: bytes) -> None:
    async with answering(head + body) as server, client_of(server.url()) as client:
        assert await client.request("GET", "/x", None, {}) == (200, body)


async def test_an_answer_without_a_length_after_an_interim_one() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 402 Declined\r\n\r\n{}"
    async with answering(answer) as server, client_of(server.url()) as client:
        assert await client.request("GET", "/x", None, {}) == (402, b"{}")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nx: y\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n{}",
    ],
)
async def test_an_answer_that_is_cut_off_is_none(answer: bytes) -> None:
    async with answering(answer) as server, client_of(server.url()) as client:
        with pytest.raises(NoAnswer, match="the answer is not complete"):
            await client.request("GET", "/x", None, {})


async def test_an_answer_without_a_length_is_limited() -> None:
    too_large = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LONGEST_ANSWER + 1)
    async with answering(too_large) as server, client_of(server.url()) as client:
        with pytest.raises(NoAnswer, match="the answer is too large"):
            await client.request("GET", "/x", None, {})


async def test_an_answer_without_a_length_that_ends_by_a_reset_is_none() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{")
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    listener = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with listener, client_of(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}") as client:
        with pytest.raises(NoAnswer, match="the answer is not complete"):
            await client.request("GET", "/x", None, {})


@pytest.mark.parametrize("says_so", [True, False])
async def test_over_tls_an_answer_without_a_length_ends_when_the_server_says_so(
    says_so: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{}")
        await writer.drain()
        if says_so:
            writer.close()
        else:
            writer.transport.abort()

    behind = await asyncio.start_server(serve, "localhost", 0, ssl=context, family=socket.AF_INET)
    async with behind, client_of(f"https://localhost:{behind.sockets[0].getsockname()[1]}") as client:
        if says_so:
            assert await client.request("GET", "/x", None, {}) == (200, b"{}")
        else:
            with pytest.raises(NoAnswer, match="the answer is not complete"):
                await client.request("GET", "/x", None, {})


@pytest.mark.parametrize("interim", [b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_request_whose_answer_began_with_an_interim_one_is_not_sent_again(interim: bytes) -> None:
    async with answering(OK, interim, OK) as server, client_of(server.url()) as client:
        await client.request("GET", "/x", None, {})
        with pytest.raises(NoAnswer, match="the answer is not complete"):
            await client.request("POST", "/y", b"{}", {})
        assert len(server.heads) == 2


async def test_an_interim_answer_is_skipped() -> None:
    async with answering(OK, b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, OK) as server, client_of(server.url()) as client:
        for _ in range(3):
            assert await client.request("GET", "/x", None, {}) == (200, b"{}")
        assert server.connections == 1
