"""Requests to an adopted application go from sidecar to sidecar: any of HTTP, event streams and WebSockets included."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest
import pytest_asyncio

from souk.kernel.addresses import socket_path
from souk.mesh.identity.spiffe import TRUST_DOMAIN, Workload, instance_name
from tests.mesh.adopted_application import NAME, PATIENCE, AdoptedMesh, adopted_mesh

pytestmark = pytest.mark.asyncio(loop_scope="module")
ONE, TWO = "reviews-1", "reviews-2"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(folder: Path) -> AsyncIterator[AdoptedMesh]:
    async with adopted_mesh(folder) as made:
        yield made


async def test_a_request_arrives_as_the_gateway_sent_it(mesh: AdoptedMesh) -> None:
    own = {"souk-caller": "a token", "x-request-id": "R-1", "x-forwarded-for": "192.0.2.7", "x_y": "1"}
    answer = await mesh.send("POST", "/reviews/a%2Fb//c?d=%20e", own, content=b"text")
    found = answer.json()
    assert (found["method"], found["target"], found["body"]) == ("POST", "/reviews/a%2Fb//c?d=%20e", "text")
    headers = found["headers"]
    assert headers["host"] == "shop.test"
    assert {name: headers[name] for name in own} == own
    assert headers["x-forwarded-client-cert"].endswith(";URI=spiffe://souk.local/service/gateway")
    assert "souk-client-host" not in headers
    assert "souk-callee-flags" not in answer.headers  # the application cannot say what only a sidecar may


async def test_a_body_of_many_parts_passes(mesh: AdoptedMesh) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    answer = await mesh.send("POST", "/large", content=parts())
    assert answer.json()["body"] == "x" * 65_536 * 40


async def test_events_arrive_one_by_one(mesh: AdoptedMesh) -> None:
    mesh.applications[ONE].go_on.clear()
    async with mesh.client() as client, client.stream("GET", "http://sidecar/events", headers={"host": NAME}) as got:
        lines = got.aiter_lines()
        assert await anext(lines) == "data: 1"
        mesh.applications[ONE].go_on.set()
        assert [line async for line in lines if line] == ["data: 2"]


async def test_a_websocket_passes_both_ways(mesh: AdoptedMesh) -> None:
    connector = aiohttp.UnixConnector(socket_path(mesh.outbound))
    async with (
        asyncio.timeout(PATIENCE),
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect("ws://sidecar/talk", headers={"host": NAME}) as talk,
    ):
        for text in ("one", "two"):
            await talk.send_str(text)
            assert (await talk.receive_str()) == f"{ONE}: {text}"


async def test_an_application_that_is_gone_is_not_reached_and_comes_again(mesh: AdoptedMesh) -> None:
    await mesh.servers[ONE].aclose()
    answer = await mesh.send("POST", "/x", content=b"y")
    assert answer.status_code == 503
    assert "UF" in answer.headers["souk-callee-flags"].split(",")
    await mesh.serve(ONE)
    async with asyncio.timeout(PATIENCE):
        while await mesh.answered_by() != ONE:
            await asyncio.sleep(0.05)


async def test_what_is_unknown_has_no_route(mesh: AdoptedMesh) -> None:
    answer = await mesh.send("GET", "/x", {"host": "nobody"})
    assert (answer.status_code, answer.headers["souk-response-flags"]) == (404, "NR")


@pytest.mark.parametrize(
    ("method", "headers", "tries"),
    [("GET", {}, 2), ("DELETE", {}, 2), ("POST", {}, 1), ("GET", {"souk-tries": "sender"}, 1)],
)
async def test_what_was_lost_is_sent_again_where_it_may(
    mesh: AdoptedMesh, method: str, headers: dict[str, str], tries: int
) -> None:
    application = mesh.applications[ONE]
    application.requests.clear()
    application.losing = 1
    answer = await mesh.send(method, "/lost", headers)
    application.losing = 0
    assert application.requests == [method] * tries
    assert (answer.status_code == 200) == (tries == 2)


async def refused(mesh: AdoptedMesh, by: Workload | None) -> str:
    """Calls the application's sidecar with the certificate of somebody, or with none; says how that ends."""
    address, bundle = mesh.instance(ONE).address, mesh.plane.authority.bundle
    given = None if by is None else mesh.plane.authority.issue(by)
    if given is None:
        context = ssl.create_default_context(cadata=bundle)
        context.set_alpn_protocols(["h2"])
        name = instance_name(TRUST_DOMAIN, ONE)
        reader, _ = await asyncio.open_unix_connection(socket_path(address), ssl=context, server_hostname=name)
        try:
            return (await asyncio.wait_for(reader.read(1), PATIENCE)).hex()
        except ssl.SSLError as error:
            return error.reason
    credentials = grpc.ssl_channel_credentials(bundle.encode(), given.key.encode(), given.chain.encode())
    named = (("grpc.ssl_target_name_override", instance_name(TRUST_DOMAIN, ONE)),)
    async with grpc.aio.secure_channel(address, credentials, named) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/any/path")
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(b"", timeout=PATIENCE)
    return failed.value.details() or ""


async def test_nobody_gets_in_but_who_may(mesh: AdoptedMesh) -> None:
    assert await refused(mesh, None) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert await refused(mesh, Workload("order", "order-9")) == "RBAC: access denied"
    assert "RBAC" not in await refused(mesh, Workload("gateway", "gateway-9"))


async def test_an_instance_without_a_sidecar_and_one_that_leaves_get_no_requests(mesh: AdoptedMesh) -> None:
    await mesh.join(TWO)
    assert {await mesh.answered_by() for _ in range(40)} == {ONE, TWO}
    mesh.applications[TWO].requests.clear()
    two = mesh.instance(TWO)
    mesh.registry.leave(two)
    mesh.registry.join(type(two)(NAME, "bare-1", two.metadata["app"]))
    async with asyncio.timeout(PATIENCE):
        while {await mesh.answered_by() for _ in range(20)} != {ONE}:
            await asyncio.sleep(0.05)


async def test_a_refused_application_gets_no_requests(mesh: AdoptedMesh) -> None:
    assert NAME in mesh.plane.services
    mesh.plane.authority.refuse("service", NAME, "a test")
    await mesh.plane.refresh()
    try:
        async with asyncio.timeout(PATIENCE):
            while (await mesh.send("GET", "/x")).status_code == 200:
                await asyncio.sleep(0.05)
    finally:
        mesh.plane.authority.admit("service", NAME)
        await mesh.plane.refresh()
