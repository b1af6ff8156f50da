"""The example of three lines, as its page says, and what else an operator does with a routes file."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from souk.runtime.process.http.server import serving
from souk.runtime.process.sockets import address_of, listen
from souk.testing.processes import SoukProcess, run, system

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "three-lines" / "routes.yaml"
PATIENCE = 60


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the port that was asked, and the path."""
    assert scope["type"] == "http"
    body = f"{scope['server'][1]} {scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def upstreams() -> AsyncIterator[list[str]]:
    """Three servers; gives their addresses."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(3):
            listener = stack.enter_context(listen("127.0.0.1", 0))
            await stack.enter_async_context(serving(echo, listener, drain=1))
            found.append(address_of(listener))
        yield found


async def logged(process: SoukProcess, event: str) -> dict[str, Any]:
    """Gives the next line of the log about an event."""
    stderr = process.process.stderr  # type: ignore[union-attr]
    async with asyncio.timeout(PATIENCE):
        while True:
            line = json.loads(await stderr.readline())
            if line["event"] == event:
                return dict(line)


@pytest.mark.full
async def test_three_lines_are_a_gateway(tmp_path: Path) -> None:
    path, data = tmp_path / "routes.yaml", tmp_path / "data"
    async with upstreams() as addresses, AsyncExitStack() as stack:
        text = EXAMPLE.read_text()
        for number, address in enumerate(addresses, 3001):
            assert f"127.0.0.1:{number}" in text
            text = text.replace(f"127.0.0.1:{number}", address)
        path.write_text(text)
        process = await stack.enter_async_context(system(data, "--routes", str(path)))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=process.address, timeout=PATIENCE))

        for prefix, address in zip(("/auth", "/orders", "/payments"), addresses, strict=True):
            answer = await client.get(f"{prefix}/7?x=1")
            assert answer.text == f"{address.rpartition(':')[2]} {prefix}/7"
            line = await logged(process, "request")
            assert (line["method"], line["path"], line["status"]) == ("GET", f"{prefix}/7", 200)
        assert (await client.get("/api/v1/orders")).status_code == 401  # the contracts' routes are there, too

        path.write_text("routes: {/auth: nowhere}\n")
        ended = await run("gateway", "reload", "--data", str(data))
        assert ended.status == 1
        assert f"{path}:1:17: there is no upstream 'nowhere'" in ended.err
        assert "keeps the routes that it had" in ended.err
        assert (await client.get("/orders/8")).status_code == 200

        path.write_text(f"routes: {{/other: 'http://{addresses[0]}'}}\n")
        ended = await run("gateway", "reload", "--data", str(data))
        assert (ended.status, ended.out) == (0, f"marketplace: 1 rules of {path}\n")
        assert [(await client.get(one)).status_code for one in ("/other", "/orders")] == [200, 404]

        process.process.send_signal(signal.SIGHUP)  # without a terminal
        while (await logged(process, "routes file loaded"))["why"] != "a signal asks for it":
            pass
        assert (await client.get("/other")).status_code == 200
        assert await process.end() == 0


async def test_a_wrong_file_ends_the_start_with_every_line(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text("routes:\n  /a: nowhere\n  b: http://a:1\n")
    ended = await run("up", "--data", str(tmp_path / "data"), "--port", "0", "--routes", str(path))
    assert ended.status == 1
    assert ended.err.splitlines()[-2:] == [
        f"souk: {path}:2:7: there is no upstream 'nowhere'; list it under `upstreams`, or give its URL",
        f"{path}:3:3: a path begins with a slash, as in /orders, not 'b'",
    ]


async def test_without_a_routes_file_there_is_nothing_to_reload(tmp_path: Path) -> None:
    ended = await run("gateway", "reload", "--data", str(tmp_path))
    assert ended.status == 1
    assert "no system runs on" in ended.err


async def test_the_routes_are_shown_and_explained(tmp_path: Path) -> None:
    listed = await run("routes", "--routes", str(EXAMPLE))
    assert "/orders/*" in listed.out
    assert "/api/v1/orders" in listed.out
    explained = await run("routes", "--routes", str(EXAMPLE), "--explain", "GET http://shop/orders/7", "-H", "a: b")
    assert (explained.status, explained.out.splitlines()[0]) == (
        0,
        f"{EXAMPLE}:3: PathPrefix /orders -> http://127.0.0.1:3002",
    )
    nothing = await run("routes", "--routes", str(EXAMPLE), "--explain", "GET /nothing")
    assert (nothing.status, nothing.out) == (1, "no route takes it\n")
    checked = await run("routes", "--check", str(EXAMPLE))
    assert (checked.status, checked.out) == (0, f"{EXAMPLE} is right: 3 rules, 3 upstreams\n")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("routes: {/api/v1/orders: http://a:1}")
    assert (await run("routes", "--check", str(wrong))).status == 0  # a prefix is at nobody's place
    wrong.write_text("routes: [{rules: [{matches: [{path: {type: Exact, value: /api/v1/orders}}]}]}]")
    refused = await run("routes", "--check", str(wrong))
    assert refused.status == 1
    assert f"{wrong}:1:30: GET /api/v1/orders is the route of a contract" in refused.err
