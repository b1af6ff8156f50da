"""Services as processes of their own, before a gateway in another."""

import asyncio
import socket
from pathlib import Path

import httpx
import pytest

from souk.testing.certificates import Authority
from souk.testing.processes import run, service, serving


async def test_a_gateway_reaches_a_service_of_another_process(tmp_path: Path) -> None:
    async with (
        service("user", tmp_path, "--demo") as user,
        service("gateway", tmp_path, settings={"SOUK_ADDRESSES": f"user={user.address}"}) as gateway,
        httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=60) as client,
    ):
        credentials = {"email": "demo@souk.test", "password": "demo-password"}
        token = (await client.post("/api/v1/auth/token", json=credentials)).json()["accessToken"]
        me = await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})
        assert me.json()["id"] == "U-demo"
        for process in (gateway, user):
            assert await process.end() == 0


async def test_a_service_holds_its_part_of_the_data_alone(tmp_path: Path) -> None:
    async with service("user", tmp_path), service("inventory", tmp_path):
        ended = await run("serve", "user", "--data", str(tmp_path))
    assert ended.status == 1
    assert "in use" in ended.err


async def test_a_service_says_in_plain_words_where_it_is(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with service("inventory", tmp_path, "--port", str(port)) as inventory:
        assert inventory.address == f"127.0.0.1:{port}"


async def test_a_service_says_it_in_json_too(tmp_path: Path) -> None:
    ready = r'^{"ready": "inventory", "address": "(unix:/[^"]+)"}\n'
    async with serving("serve", "inventory", "--json", "--data", str(tmp_path), ready=ready):
        pass


@pytest.mark.parametrize(("name", "nearest"), [("inventry", "inventory"), ("gatway", "gateway")])
async def test_an_unknown_service_is_answered_with_the_nearest(tmp_path: Path, name: str, nearest: str) -> None:
    ended = await run("serve", name, "--data", str(tmp_path))
    assert ended.status == 1
    assert f"no service {name!r}; the nearest is {nearest!r}" in ended.err


async def test_a_service_does_not_listen_to_the_network_without_tls_unless_told(tmp_path: Path) -> None:
    ended = await run("serve", "inventory", "--data", str(tmp_path), settings={"SOUK_HOST": "0.0.0.0"})
    assert ended.status == 1
    assert "SOUK_TLS_CERT" in ended.err
    settings = {"SOUK_HOST": "0.0.0.0", "SOUK_PLAIN_TCP": "true"}
    async with service("inventory", tmp_path, settings=settings) as inventory:
        assert inventory.address.startswith("0.0.0.0:")


async def answered(client: httpx.AsyncClient, credentials: dict[str, str]) -> httpx.Response:
    """The answer to a login; on a machine that is too busy for a handshake the first ones may be 503."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.post("/api/v1/auth/token", json=credentials)
            if answer.status_code != 503:
                return answer
            await asyncio.sleep(float(answer.headers["retry-after"]))


async def test_a_gateway_and_a_service_of_two_machines_prove_who_they_are(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    def tls(name: str) -> dict[str, str]:
        cert, key = authority.issue(name)
        return {"SOUK_TLS_CERT": str(cert), "SOUK_TLS_KEY": str(key), "SOUK_TLS_CA": str(authority.ca)}

    async with (
        service("user", tmp_path, "--demo", settings={"SOUK_HOST": "127.0.0.1", **tls("user")}) as user,
        service("gateway", tmp_path, settings={"SOUK_ADDRESSES": f"user={user.address}", **tls("gateway")}) as gateway,
        httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=60) as client,
    ):
        credentials = {"email": "demo@souk.test", "password": "demo-password"}
        assert (await answered(client, credentials)).status_code == 200
