"""Over a real server and real sockets: what ASGI alone does not show."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from shop.order.v1 import order_pb2

from souk.gateway.settings import GatewaySettings
from souk.runtime.process.http.limits import HttpLimits
from souk.runtime.process.http.server import serving

WorldOf = Callable[[GatewaySettings], AbstractAsyncContextManager[Any]]
MEBIBYTE = 1024 * 1024
ORDER = {
    "items": [{"productId": "P-101", "quantity": 2, "price": 1200}],
    "shippingAddressId": "ADDR-55",
    "paymentMethod": "card",
    "idempotencyKey": "key-1",
}


@pytest.fixture
async def port(world: Any) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(world.gateway, listener, drain=1.0):
        yield listener.getsockname()[1]


class Connection:
    """A connection that sends and reads octets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 120)).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        return int(head[0].split()[1]), headers

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = await self.head()
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", "0")))

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@pytest.fixture
async def connection(port: int) -> AsyncIterator[Connection]:
    made = await Connection.to(port)
    yield made
    await made.close()


def post(length: int, token: str, more: str = "") -> bytes:
    return (
        f"POST /api/v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {token}\r\ncontent-length: {length}\r\n{more}\r\n"
    ).encode()


async def test_an_order_goes_through_and_the_connection_stays(world: Any, connection: Connection) -> None:
    world.services.answer("PlaceOrder", order_pb2.Order(id="O-1", status=order_pb2.ORDER_STATUS_CONFIRMED))
    body = json.dumps(ORDER).encode()
    for _ in range(2):
        await connection.send(post(len(body), world.token()) + body)
        status, headers, answer = await connection.answer()
        assert (status, headers["location"], json.loads(answer)["id"]) == (201, "/api/v1/orders/o-1", "O-1")


@pytest.mark.parametrize("spaces", ["", " ", "\t", "  \t "])
async def test_a_key_is_the_same_with_white_space_around_it(world: Any, connection: Connection, spaces: str) -> None:
    world.services.answer("PlaceOrder", order_pb2.Order(id="O-1"))
    order = {name: value for name, value in ORDER.items() if name != "idempotencyKey"}
    body = json.dumps(order).encode()
    await connection.send(post(len(body), world.token(), f"idempotency-key:{spaces}k-1{spaces}\r\n") + body)
    assert (await connection.answer())[0] == 201
    assert world.services.last[1].idempotency_key == "k-1"


async def test_413_reaches_a_client_that_is_still_sending(world: Any, connection: Connection) -> None:
    await connection.send(post(3 * MEBIBYTE, world.token()))
    for _ in range(48):
        await connection.send(b" " * 65536)
    status, _, body = await connection.answer()
    assert (status, json.loads(body)["code"]) == (413, "BODY_TOO_LARGE")
    await connection.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await connection.answer())[0] == 200


async def test_413_of_a_chunked_body(world: Any, connection: Connection) -> None:
    head = (
        f"POST /api/v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {world.token()}\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    await connection.send(head.encode())
    for _ in range(24):
        await connection.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
    await connection.send(b"0\r\n\r\n")
    assert (await connection.answer())[0] == 413
    await connection.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await connection.answer())[0] == 200


async def test_an_endless_body_is_cut_off(world: Any, connection: Connection) -> None:
    await connection.send(post(1 << 40, world.token()))
    # Not an octet more than is drained: the server's end would reset what it has not read.
    for _ in range(64):
        await connection.send(b" " * 65536)
    await connection.send(b" ")
    status, headers, _ = await connection.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert await connection.reader.read() == b""


async def test_headers_that_come_slowly_are_read(world: Any, connection: Connection) -> None:
    body = json.dumps(ORDER).encode()
    for octet in post(len(body), world.token()) + body:
        await connection.send(bytes([octet]))
    assert (await connection.answer())[0] == 201


async def test_a_body_that_never_comes_is_408(world: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(world.gateway, listener, drain=1.0, limits=HttpLimits(body=0.05)):
        connection = await Connection.to(listener.getsockname()[1])
        await connection.send(post(100, world.token()) + b"{")
        status, headers, body = await connection.answer()
        await connection.close()
    assert (status, headers["connection"], json.loads(body)["code"]) == (408, "close", "REQUEST_TIMEOUT")


async def test_a_client_that_waits_for_its_answer_before_it_sends_the_body_gets_it(world_of: WorldOf) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    settings = GatewaySettings(drain_timeout=3_600.0, drain_pause=0.01)
    async with world_of(settings) as world, serving(world.gateway, listener, drain=1.0):
        connection = await Connection.to(listener.getsockname()[1])
        await connection.send(post(100, "wrong") + b"{")
        status, headers, _ = await connection.answer()
        await connection.close()
    assert (status, headers["connection"]) == (401, "close")


async def test_expectations_are_not_kept_waiting(world: Any, connection: Connection) -> None:
    await connection.send(post(100, "wrong", "expect: 100-continue\r\n"))
    status, headers, _ = await connection.answer()
    assert (status, headers["connection"]) == (401, "close")


async def test_a_write_goes_on_when_its_client_goes_away(world: Any, port: int) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> Any:
        begun.set()
        await go_on.wait()
        done.set()
        return order_pb2.Order(id="O-1")

    world.services.behaviours["PlaceOrder"] = slow
    body = json.dumps(ORDER).encode()
    client = await Connection.to(port)
    await client.send(post(len(body), world.token()) + body)
    await asyncio.wait_for(begun.wait(), 30)
    await client.close()
    go_on.set()
    await asyncio.wait_for(done.wait(), 30)


async def test_two_requests_in_one_segment(world: Any, connection: Connection) -> None:
    await connection.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n" * 2)
    assert [(await connection.answer())[0] for _ in range(2)] == [200, 200]
