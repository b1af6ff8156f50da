"""Processes whose clocks differ, as served: who is off by more than 30 s takes himself out, and nobody else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.rpc.connect.server import serve_connect
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.dates import seconds_of
from souk.rpc.grpc.server import serve
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.testing.lives import AheadClock
from souk.testing.processes import SoukProcess, service

CLOCK = Path(__file__).parents[2] / "chaos" / "clock"
OFF = 3_700.0
LIMIT = 30.0


@dataclass
class Town:
    """A gateway, and three processes of one service, each with a clock that a test can set."""

    clocks: Path
    gateway: SoukProcess
    users: list[SoukProcess]
    client: httpx.AsyncClient

    def set(self, one: SoukProcess, ahead: float) -> None:
        """Puts the clock of a process this far ahead of the true time."""
        file = self.clocks / str(one.process.pid)
        file.with_suffix(".new").write_text(str(ahead))
        file.with_suffix(".new").rename(file)

    async def ready(self, whether: bool) -> bool:
        return ((await self.client.get("/readyz")).status_code == 200) is whether

    async def clock(self) -> str:
        """How /readyz?verbose says that its clock is."""
        checks = (await self.client.get("/readyz?verbose")).json()["checks"]
        return str(next(check["state"] for check in checks if check["name"] == "clock"))

    async def is_behind(self, peer: str) -> bool:
        """Whether the gateway has measured that."""
        name = f'souk_clock_skew_seconds{{against="{peer}"}} '
        lines = (await self.client.get("/metrics")).text.splitlines()
        return any(float(line.removeprefix(name)) < 100 - OFF for line in lines if line.startswith(name))


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it has."""
    async with asyncio.timeout(LIMIT):
        while not await happened():
            await asyncio.sleep(0.1)


@asynccontextmanager
async def town(folder: Path, tiny: Mapping[str, str]) -> AsyncIterator[Town]:
    clocks = folder / "clocks"
    clocks.mkdir()
    settings = {
        **tiny,
        "PYTHONPATH": f"{tiny['PYTHONPATH']}:{CLOCK}",
        "CHAOS_CLOCK": str(clocks),
        "SOUK_LOG_LEVEL": "warning",
        "SOUK_SECRET": "a secret of all processes, which is long enough",
    }
    async with AsyncExitStack() as stack:
        users = await asyncio.gather(
            *(
                stack.enter_async_context(service("user", folder / str(number), settings=settings))
                for number in (1, 2, 3)
            )
        )
        known = {"SOUK_ADDRESSES": f"user={'+'.join(one.address for one in users)}"}
        gateway = await stack.enter_async_context(
            service("gateway", folder / "gateway", "--demo", settings={**settings, **known})
        )
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=LIMIT, trust_env=False)
        )
        yield Town(clocks, gateway, list(users), client)


@pytest.mark.full
async def test_who_is_off_takes_himself_out_and_comes_back_and_no_other(
    tmp_path: Path, tiny: Mapping[str, str]
) -> None:
    async with town(tmp_path, tiny) as here:
        here.set(here.gateway, OFF)
        await until(lambda: here.ready(False))
        assert await here.clock() == "failing"

        here.set(here.gateway, 0.0)
        await until(lambda: here.ready(True))

        here.set(here.users[0], OFF)
        await until(lambda: here.is_behind("user-1"))
        assert await here.clock() == "ok"
        assert await here.ready(True)

        here.set(here.users[1], OFF)
        await until(lambda: here.ready(False))
        assert await here.clock() == "failing"


@pytest.mark.parametrize("protocol", ["connect", "grpc"])
async def test_an_answer_has_its_date_by_either_protocol(protocol: str) -> None:
    clock = AheadClock(OFF)
    by_connect = protocol == "connect"
    server: Any = await (
        serve_connect(Dispatcher(None), clock=clock) if by_connect else serve(Dispatcher(None), clock=clock)
    )
    transport = (ConnectTransport if by_connect else GrpcTransport)(lambda: [server.address])
    try:
        date = seconds_of(await transport.date(server.address, LIMIT))
        assert date == pytest.approx(SystemClock().now() / MICROSECONDS + OFF, abs=30)
        await server.stop()
        assert await transport.date(server.address, 0.5) == ""
    finally:
        await transport.close()
        await server.stop()
