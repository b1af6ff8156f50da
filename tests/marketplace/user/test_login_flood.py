"""A flood of wrong passwords from one address, seen from outside: who is elsewhere gets in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from marketplace.user.adapters.argon2_passwords import AT_ONCE, LONGEST_QUEUE
from souk.testing.processes import service

FLOOD, HONEST = "127.0.0.2", "127.0.0.3"
GUESSES = 3 * (AT_ONCE + LONGEST_QUEUE)
PASSWORD = "a-long-password"
OVERLOADED = 503


def client_at(address: str, gateway: str) -> httpx.AsyncClient:
    """A client whose connections come from this address."""
    transport = httpx.AsyncHTTPTransport(local_address=address, limits=httpx.Limits(max_connections=None))
    return httpx.AsyncClient(base_url=f"http://{gateway}", transport=transport, timeout=60)


@asynccontextmanager
async def gateway_to_users(folder: Path) -> AsyncIterator[str]:
    """The address of a gateway with the service User behind it."""
    async with (
        service("user", folder) as user,
        service("gateway", folder, settings={"SOUK_ADDRESSES": f"user={user.address}"}) as gateway,
    ):
        yield gateway.address


async def log_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/v1/auth/token", json={"email": email, "password": password})


async def admitted(client: httpx.AsyncClient, email: str) -> httpx.Response:
    """Logs in as a client does that the gateway may ask to come again: it sheds load while its event loop is late."""
    async with asyncio.timeout(60):
        while (answer := await log_in(client, email)).status_code == OVERLOADED:
            assert answer.json()["code"] == "OVERLOADED", answer.text
            await asyncio.sleep(float(answer.headers["retry-after"]))
    return answer


@pytest.mark.full
async def test_a_flood_of_logins_shuts_nobody_else_out(tmp_path: Path) -> None:
    async with (
        gateway_to_users(tmp_path) as gateway,
        client_at(FLOOD, gateway) as flood,
        client_at(HONEST, gateway) as honest,
    ):
        account = {"email": "honest@example.com", "password": PASSWORD, "name": "Somebody"}
        assert (await honest.post("/api/v1/users", json=account)).status_code == 201
        crowded = asyncio.Event()

        async def guess(number: int) -> int:
            answer = await log_in(flood, f"guess-{number}@example.com", "a-wrong-password")
            if answer.status_code == 429:
                crowded.set()
            return answer.status_code

        guesses = asyncio.gather(*(guess(number) for number in range(GUESSES)))
        await crowded.wait()
        answer = await admitted(honest, "honest@example.com")
        assert (answer.status_code, "accessToken" in answer.json()) == (200, True), answer.text
        assert {401, 429} <= set(await guesses) <= {401, 429, OVERLOADED}
