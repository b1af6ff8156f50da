"""`souk canary` beside a controller: what it prints, what it refuses, and with which exit status it ends."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from souk.admin.unix_socket import serving
from souk.kernel.clock import SystemClock
from souk.mesh.canary.operating.servicer import CONTRACT, CanaryServicer
from souk.mesh.canary.steering.controller import CanaryController
from souk.mesh.canary.steering.store import CanaryStore
from souk.runtime.data.layout import DataLayout
from souk.testing.processes import Ended, run
from tests.mesh.canary.model_fleet import ModelAlarms, ModelFleet

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE = 120.0
START = ("start", "payment", "--version", "v2", "--steps", "10,50", "--every", "1s")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="canary-") as made:
        yield Path(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(folder: Path) -> AsyncIterator[ModelFleet]:
    """A model fleet whose control plane serves operators in a data directory on which a system seems to run."""
    made = ModelFleet(calls=0)
    async with await listening(folder), controlled(folder, made):
        yield made


async def listening(folder: Path) -> asyncio.Server:
    control = DataLayout(folder).control
    control.parent.mkdir(exist_ok=True)
    return await asyncio.start_unix_server(lambda reader, writer: writer.close(), control)


@asynccontextmanager
async def controlled(folder: Path, fleet: ModelFleet) -> AsyncIterator[CanaryController]:
    store, clock = CanaryStore(folder), SystemClock()
    controller = CanaryController(("payment", "order"), store, fleet, fleet, ModelAlarms(fleet), clock)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(controller.running())
        contracts = {CONTRACT: CanaryServicer(controller)}
        await stack.enter_async_context(serving(DataLayout(folder).control_plane, contracts, clock))
        yield controller


async def souk_canary(folder: Path, *arguments: str) -> Ended:
    return await run("canary", *arguments, "--data", str(folder))


async def status_of(folder: Path, *states: str) -> dict[str, Any]:
    """Gives the document of the canary once it is in one of these states."""
    async with asyncio.timeout(PATIENCE):
        while True:
            (found,) = json.loads((await souk_canary(folder, "status", "payment", "--json")).out)
            if found["state"] in states:
                document: dict[str, Any] = found
                return document
            await asyncio.sleep(0.1)


async def test_without_a_canary_it_is_said_how_to_begin_one(fleet: ModelFleet, folder: Path) -> None:
    found = await souk_canary(folder, "status")
    assert found.out == "no service has a canary; begin one with `souk canary start SERVICE --version VERSION`\n"
    assert (await souk_canary(folder, "status", "--json")).out == "[]\n"
    missing = await souk_canary(folder, "abort", "order")
    assert (missing.status, "order has no canary; begin one with" in missing.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("start", "paymnt", "--version", "v2"), "the nearest is 'payment'"),
        (("start", "payment", "--version", "a b"), "no name of a version"),
        (("start", "payment", "--version", "v2", "--steps", "50,5"), "larger than the one before"),
        (("start", "payment", "--version", "v2", "--abort-on", "errors>1%"), "write it as failures>1%"),
        (("start", "payment", "--version", "v2", "--set", "COLOUR"), "must read NAME=VALUE"),
    ],
)
async def test_what_cannot_be_begun_is_refused_in_a_line(
    fleet: ModelFleet, folder: Path, arguments: tuple[str, ...], reason: str
) -> None:
    refused = await souk_canary(folder, *arguments)
    assert refused.status in (1, 2)
    assert reason in refused.err
    assert "Traceback" not in refused.err


async def test_a_canary_is_begun_steered_and_ended_by_an_operator(fleet: ModelFleet, folder: Path) -> None:
    begun = await souk_canary(folder, *START, "--set", "TOKEN=hush", "--header", "x-tester=1")
    assert begun.status == 0, begun.err
    assert "payment v2:" in begun.out
    second = await souk_canary(folder, *START)
    assert (second.status, "a canary of payment is under way" in second.err) == (1, True)
    held = await status_of(folder, "holding")
    assert held["decisions"][-1]["why"] == "0 calls of the canary, and 100 are needed"
    assert held["plan"]["settings"] == {"TOKEN": ""}
    assert "paused with 10% of the calls, step 1 of 2" in (await souk_canary(folder, "pause", "payment")).out
    assert (await souk_canary(folder, "pause", "payment")).status == 0
    shown = await souk_canary(folder, "status", "payment")
    assert "0 calls of the canary" in shown.out
    assert "p99>1.5x" in shown.out
    assert json.loads((await souk_canary(folder, "resume", "payment", "--json")).out)["state"] == "stepping"
    aborted = await souk_canary(folder, "abort", "payment", "--why", "ticket 4711")
    assert aborted.status == 0
    ended = await status_of(folder, "rolled back")
    assert [one["why"] for one in ended["decisions"] if one["event"] == "abort"] == ["ticket 4711"]
    assert (fleet.share, fleet.running) == (None, False)
    late = await souk_canary(folder, "promote", "payment")
    assert late.err == "souk: v2 of payment is rolled back, and cannot be promoted now\n"


async def test_without_a_mesh_it_is_said_how_to_have_one(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="canary-") as made:
        nothing = await souk_canary(Path(made), "status")
        assert (nothing.status, "no system runs on" in nothing.err) == (1, True)
        assert "`souk up --topology fleet --mesh --data" in nothing.err
        async with await listening(Path(made)):
            plain = await souk_canary(Path(made), *START)
    assert plain.status == 1
    assert "souk up --topology fleet --mesh" in plain.err
