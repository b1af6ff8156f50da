"""A system with a routes file: no request is lost while the file changes, and each gets one table, whole."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from souk.hosting.monolith import monolith
from souk.kernel.clock import SystemClock
from souk.runtime.config.environment import read
from souk.runtime.process.http.server import serving
from souk.runtime.process.sockets import address_of, listen
from souk.testing.processes import run
from tests.hosting.test_mistakes import Service, app, build, contract

GREETING = Service("greeting", contract(), build)
CLIENTS, RELOADS = 6, 10


@asynccontextmanager
async def upstream(name: str) -> AsyncIterator[str]:
    """A server that answers with its name."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-upstream", name.encode())]})
        await send({"type": "http.response.body", "body": name.encode()})

    with listen("127.0.0.1", 0) as listener:
        async with serving(answer, listener, drain=1):
            yield address_of(listener)


def table(name: str, address: str) -> str:
    """A file whose rule says in a header which table it is of."""
    return f"""
routes:
- rules:
  - matches: [{{path: /a}}]
    filters: [{{responseHeaderModifier: {{set: {{x-table: {name}}}}}}}]
    backendRefs: [{{url: "http://{address}"}}]
"""


async def test_no_request_is_lost_while_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    async with upstream("old") as old, upstream("new") as new:
        path.write_text(table("old", old))
        given = {"data": tmp_path / "data", "port": 0, "demo": True, "routes": path}
        answers: Counter[tuple[int, str, str]] = Counter()
        over = asyncio.Event()
        reload: list[Any] = []
        async with monolith(app(GREETING), read({}, given), SystemClock(), reload.append) as running:

            async def ask(client: httpx.AsyncClient) -> None:
                while not over.is_set():
                    answer = await client.get(f"{running.url}/a")
                    answers[answer.status_code, answer.headers["x-table"], answer.text] += 1

            async with httpx.AsyncClient(timeout=60) as client, asyncio.TaskGroup() as asking:
                for _ in range(CLIENTS):
                    asking.create_task(ask(client))
                for number in range(RELOADS):
                    name, address = (("new", new), ("old", old))[number % 2]
                    path.write_text(table(name, address))
                    reload[0]()  # as SIGHUP does
                    before = answers[200, name, name]
                    async with asyncio.timeout(60):
                        while answers[200, name, name] < before + CLIENTS:
                            await asyncio.sleep(0.001)
                over.set()
        assert answers.keys() == {(200, "old", "old"), (200, "new", "new")}


async def test_health_stays_beside_a_file(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    async with upstream("web") as web:
        path.write_text(f"routes: {{/: 'http://{web}'}}\n")
        given = {"data": tmp_path / "data", "port": 0, "demo": True, "routes": path}
        async with monolith(app(GREETING), read({}, given), SystemClock()) as running, httpx.AsyncClient() as client:
            texts = [(await client.get(running.url + one)).text for one in ("/", "/x", "/healthz")]
            assert texts == ["web", "web", '{"status":"ok"}']
            metrics = (await client.get(f"{running.url}/metrics")).text
            assert 'souk_gateway_routes_loads_total{result="loaded"} 1.0' in metrics


async def _souk(*arguments: str) -> Any:
    """Runs `souk ... --json` and returns its document."""
    ended = await run(*arguments, "--json")
    assert ended.status == 0, ended.err
    return json.loads(ended.out)


async def test_upstreams_have_breakers_and_metrics(tmp_path: Path) -> None:
    path, data = tmp_path / "routes.yaml", tmp_path / "data"

    def file(address: str, name: str) -> str:
        return f"upstreams: {{{name}: 'http://{address}'}}\nroutes: [{{rules: [{{backendRefs: [{name}]}}]}}]\n"

    reload: list[Any] = []
    async with upstream("web") as web:
        path.write_text(file(web, "shop"))
        given = {"data": data, "port": 0, "demo": True, "routes": path}
        async with (
            monolith(app(GREETING), read({}, given), SystemClock(), reload.append) as running,
            httpx.AsyncClient(timeout=60) as client,
        ):

            async def measured(line: str) -> None:
                metrics = ""
                async with asyncio.timeout(60):
                    while line not in metrics:
                        metrics = (await client.get(f"{running.url}/metrics")).text

            assert (await client.get(f"{running.url}/x")).text == "web"
            await measured('souk_upstream_seconds_count{outcome="2xx",upstream="shop"} 1.0')
            await measured('souk_upstream_instances{state="used",upstream="shop"} 1.0')
            await measured('souk_upstream_connections{state="idle",upstream="shop"} 1.0')
            await measured('souk_breaker_state{callee="upstream/shop",caller="gateway",state="closed"} 1.0')
            listed = await _souk("breakers", "--data", str(data), "--force", "upstream/shop=open")
            assert [(one["callee"], one["state"]) for one in listed] == [("upstream/shop", "forced open")]
            refused = await client.get(f"{running.url}/x")
            assert (refused.status_code, refused.json()["code"]) == (503, "UPSTREAM_UNAVAILABLE")
            await measured('souk_upstream_seconds_count{outcome="refused",upstream="shop"} 1.0')
            path.write_text(file(web, "other"))
            reload[0]()
            await measured('callee="upstream/other",caller="gateway",state="closed"} 1.0')
            assert "upstream/shop" not in (await client.get(f"{running.url}/metrics")).text
            assert [one["callee"] for one in await _souk("breakers", "--data", str(data))] == ["upstream/other"]
            assert (await client.get(f"{running.url}/x")).text == "web"
