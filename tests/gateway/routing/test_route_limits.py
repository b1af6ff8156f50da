"""At most so many requests at once on a route: who is refused, and when a place is free again."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import pytest
from prometheus_client import generate_latest

from souk.gateway.http.answers import Answer, HttpAnswer, StreamedAnswer, SwitchedAnswer
from souk.gateway.http.request import Request
from souk.gateway.overload.route_limit import RouteLimit
from souk.gateway.routing.model import RoutesFileRefused
from souk.gateway.routing.outgoing import OutgoingRequest
from souk.gateway.routing.reading.document import parse

LIMITED = """
routes:
- rules:
  - name: few
    matches: [{path: /a}]
    backendRefs: [http://a:1]
    maxRunning: %d
  - name: many
    matches: [{path: /b}]
    backendRefs: [http://a:1]
"""


class Held(Mapping[str, Any]):
    """An upstream that answers what `answer` gives once `go` is set."""

    vouches = False

    def __init__(self) -> None:
        self.arrived, self.go = asyncio.Semaphore(0), asyncio.Event()
        self.answer: Callable[[], Answer] = lambda: HttpAnswer(200, [], b"ok")

    async def forward(self, request: Request, outgoing: OutgoingRequest) -> Answer:
        self.arrived.release()
        await self.go.wait()
        return self.answer()

    def __getitem__(self, name: str) -> "Held":
        return self

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.fixture
def upstream(world: Any) -> Held:
    held = Held()
    world.gateway.use_routes(parse(LIMITED % 2), held)
    return held


def _running(world: Any, metric: str = "souk_gateway_route_running") -> float:
    lines = generate_latest(world.registry).decode().splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f'{metric}{{route="few"}}'))


async def _begun(world: Any, upstream: Held, number: int, path: str = "/a") -> "list[asyncio.Task[Any]]":
    tasks = [asyncio.create_task(world.send("GET", path)) for _ in range(number)]
    async with asyncio.timeout(60):
        for _ in tasks:
            await upstream.arrived.acquire()
    return tasks


async def test_one_too_many_is_refused_at_once_and_others_go_on(world: Any, upstream: Held) -> None:
    running = await _begun(world, upstream, 2)
    for _ in range(3):
        refused = await world.send("GET", "/a")
        assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (503, "OVERLOADED", "1")
    running += await _begun(world, upstream, 3, "/b")
    assert _running(world) == 2
    upstream.go.set()
    assert {answer.status for answer in await asyncio.gather(*running)} == {200}
    assert (_running(world), _running(world, "souk_gateway_route_refused_total")) == (0, 3)
    assert (await world.send("GET", "/a")).status == 200


async def test_a_request_that_is_cancelled_or_fails_leaves_its_place(world: Any, upstream: Held) -> None:
    running = await _begun(world, upstream, 2)
    running[0].cancel()
    await asyncio.gather(running[0], return_exceptions=True)
    assert _running(world) == 1

    def fail() -> Answer:
        raise RuntimeError("broken")

    upstream.answer = fail
    upstream.go.set()
    assert (await running[1]).status == 500
    assert _running(world) == 0


async def test_a_stream_runs_until_its_end(world: Any, upstream: Held) -> None:
    sent, rest = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncGenerator[bytes, None]:
        yield b"first "
        sent.set()
        await rest.wait()
        yield b"last"

    upstream.answer = lambda: StreamedAnswer(200, [], body())
    upstream.go.set()
    first, second = (asyncio.create_task(world.client.send("GET", "/a", [b"x", b"y"])) for _ in range(2))
    async with asyncio.timeout(60):
        await sent.wait()
    assert _running(world) == 2
    assert (await world.send("GET", "/a")).status == 503
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert _running(world) == 1
    rest.set()
    assert (await first).body == b"first last"
    assert _running(world) == 0


async def test_a_stream_of_which_nothing_is_sent_leaves_its_place(world: Any, upstream: Held) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"never"

    upstream.answer = lambda: StreamedAnswer(200, [], body())
    upstream.go.set()
    for _ in range(3):
        assert (await world.client.send("HEAD", "/a", [b"x", b"y"])).status == 200
    assert _running(world) == 0


@pytest.mark.parametrize("ends", ["run", "close"])
async def test_a_websocket_runs_until_its_end(ends: str) -> None:
    class Tunnel:
        async def run(self, client: Any, head: bytes) -> None:
            assert limit.running == 1

        def close(self) -> None:
            assert limit.running == 1

    async def call() -> Answer:
        return SwitchedAnswer(101, [], Tunnel())

    limit = RouteLimit(1)
    answer = await limit.run(call)
    assert isinstance(answer, SwitchedAnswer)
    assert limit.running == 1
    if ends == "run":
        await answer.tunnel.run(None, b"")  # type: ignore[arg-type]  # the test's tunnel needs none
    answer.tunnel.close() if ends == "close" else None
    assert limit.running == 0


async def test_reloading_forgets_no_request_and_changes_the_limit(world: Any, upstream: Held) -> None:
    running = await _begun(world, upstream, 2)
    world.gateway.use_routes(parse(LIMITED % 3), upstream)
    running += await _begun(world, upstream, 1)
    assert (await world.send("GET", "/a")).status == 503
    with pytest.raises(RoutesFileRefused):
        world.gateway.use_routes(
            parse(LIMITED % 9 + "  - matches: [{path: {type: Exact, value: /healthz}}]\n"), upstream
        )
    assert (await world.send("GET", "/a")).status == 503
    world.gateway.use_routes(parse(LIMITED % 1), upstream)
    upstream.go.set()
    await asyncio.gather(*running)
    assert _running(world) == 0


async def test_who_may_not_call_takes_no_place(world: Any) -> None:
    held = Held()
    world.gateway.use_routes(parse((LIMITED % 1).replace("maxRunning: 1", "maxRunning: 1\n    access: caller")), held)
    assert {(await world.send("GET", "/a")).status for _ in range(3)} == {401}
    held.go.set()
    assert (await world.send("GET", "/a", token=world.token())).status == 200


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "[1]"])
def test_a_limit_is_a_whole_number_from_one(value: str) -> None:
    with pytest.raises(RoutesFileRefused, match=r"f.yaml:7:17: maxRunning must be"):
        parse((LIMITED % 1).replace("maxRunning: 1", f"maxRunning: {value}"), "f.yaml")
