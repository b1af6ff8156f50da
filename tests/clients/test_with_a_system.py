"""The client against a whole system. An answer that is lost on its way: the client sends the order again with its key,
and it is placed once."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from souk_client import AsyncClient, Client, NoAnswer, Retries

from souk.testing.processes import system

PATIENT = Retries(deadline=300.0, try_timeout=60.0, first_pause=0.01)


class Cutting:
    """Passes bytes on to a server, and cuts the connection in place of the next `cuts` answers to orders."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self.cuts = 0
        self.orders = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                back.write(head + await reader.readexactly(length_of(head)))
                answer = await there.readuntil(b"\r\n\r\n")
                answer += await there.readexactly(length_of(answer))
                if head.startswith(b"POST /api/v1/orders "):
                    self.orders += 1
                    if self.cuts > 0:
                        self.cuts -= 1
                        return
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            for one in (writer, back):
                one.close()
                with suppress(ConnectionError):
                    await one.wait_closed()


def length_of(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)


@pytest.fixture
async def cutting(tmp_path: Path) -> AsyncIterator[tuple[Cutting, str]]:
    async with system(tmp_path, "--demo") as up:
        proxy = Cutting(up.address)
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        yield proxy, f"http://127.0.0.1:{port}"
        server.close()


WISH: Any = {
    "items": [{"productId": "P-101", "quantity": 1, "price": 1200}],
    "shippingAddressId": "ADDR-55",
    "paymentMethod": "card",
}
LOGIN: Any = {"email": "demo@souk.test", "password": "demo-password"}


async def sync_order(url: str, retries: Retries) -> tuple[Any, int]:
    """Places an order; returns it, and how many there are."""

    def work() -> tuple[Any, int]:
        with Client(url, retries=retries) as souk:
            souk.token = souk.create_token(LOGIN)["accessToken"]
            return placed(lambda: souk.place_order(WISH)), len(souk.list_orders()["orders"])

    return await asyncio.to_thread(work)


async def async_order(url: str, retries: Retries) -> tuple[Any, int]:
    async with AsyncClient(url, retries=retries) as souk:
        souk.token = (await souk.create_token(LOGIN))["accessToken"]
        try:
            order: Any = await souk.place_order(WISH)
        except NoAnswer as error:
            order = error
        return order, len((await souk.list_orders())["orders"])


def placed(place: Callable[[], Any]) -> Any:
    try:
        return place()
    except NoAnswer as error:
        return error


@pytest.mark.parametrize("order", [sync_order, async_order])
async def test_it_is_placed_once(cutting: tuple[Cutting, str], order: Any) -> None:
    proxy, url = cutting
    proxy.cuts = 2
    found, count = await order(url, PATIENT)
    assert found["status"] == "CONFIRMED"
    assert (proxy.orders, count) == (3, 1)


@pytest.mark.parametrize("order", [sync_order, async_order])
async def test_without_another_try_it_is_said_that_it_may_be_done_and_it_is(
    cutting: tuple[Cutting, str], order: Any
) -> None:
    proxy, url = cutting
    proxy.cuts = 1
    found, count = await order(url, Retries(tries=1, deadline=300.0, try_timeout=60.0))
    assert isinstance(found, NoAnswer)
    assert (found.maybe_done, proxy.orders, count) == (True, 1, 1)


PAGES = [Path(__file__).resolve().parents[2] / name for name in ("docs/clients.md", "clients/python/README.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_what_the_pages_show_works(cutting: tuple[Cutting, str], page: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert "http://127.0.0.1:8080" in program
    found: dict[str, Any] = {}
    await asyncio.to_thread(exec, program.replace("http://127.0.0.1:8080", cutting[1]), found)
    assert found["order"]["status"] == "CONFIRMED"
