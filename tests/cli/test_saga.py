"""`souk saga`: what an operator sees of runs and does with them; and a definition that changes with 100 open runs."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.admin.servicers.sagas import CONTRACT, ProcessSagas, ref_of
from souk.admin.unix_socket import serving
from souk.kernel.clock import SystemClock
from souk.runtime.data.layout import DataLayout
from souk.saga.runner import SagaOutcome, SagaRunner, SagaSettings
from souk.testing.processes import Ended, run
from souk.testing.saga_suite import PATIENCE, Shop
from tests.cli.test_parked import RUN, park_an_undo

CLOCK = SystemClock()
SETTINGS = SagaSettings(claim=0.02, poll=0.02, pause=0.002, park_after=2)
WHY = ("--why", "ticket 1")


async def saga(data: Path, *arguments: str) -> Ended:
    return await run("saga", *arguments, "--data", str(data))


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """The data of a system that does not run, with a parked undo."""
    shop = await Shop.open(tmp_path)
    await park_an_undo(shop)
    await shop.close()
    return tmp_path


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Path, Shop]]:
    """A system that runs, as far as `souk saga` sees it, whose runner does nothing by itself."""
    shop = await Shop.open(tmp_path)
    await park_an_undo(shop)
    layout = DataLayout(tmp_path.resolve())
    layout.prepare_run(len(layout.control.name) + 1)
    async with serving(layout.control, {CONTRACT: ProcessSagas({"shop": shop.database})}, CLOCK):
        yield tmp_path, shop
    await shop.close()


async def test_a_run_is_listed_shown_and_retried_where_nothing_runs(data: Path) -> None:
    assert (await saga(data, "list")).out.startswith(f"{RUN}  shop: parked, undo parked 'reserve', since 20")
    assert (await saga(data, "list", "--state", "paused")).out == "no such run\n"
    (run_,) = json.loads((await saga(data, "list", "--json")).out)
    assert (run_["id"], run_["state"], run_["reason"], len(run_["steps"])) == (RUN, "parked", "NO", 2)
    ended = await saga(data, "retry", RUN, *WHY)
    assert (ended.status, "use --yes" in ended.err) == (1, True)
    assert ended.out == f"{RUN}  tries again: reserve\n"
    ended = await saga(data, "retry", RUN, *WHY, "--yes")
    assert ended.out == f"{RUN}  tries again: reserve\n1 changed, as soon as the system runs\n"
    shown = await saga(data, "show", RUN)
    assert "reserve: undoing" in shown.out
    assert shown.out.rstrip().endswith(": retry: ticket 1")


async def test_a_system_that_runs_is_asked(running: tuple[Path, Shop]) -> None:
    data, shop = running
    assert (await saga(data, "list", "--state", "stuck")).out.startswith(RUN)
    assert "1 changed\n" in (await saga(data, "pause", "--saga", "place", *WHY, "--yes")).out
    shown = json.loads((await saga(data, "show", RUN, "--json")).out)
    assert (shown["state"], [one["action"] for one in shown["actions"]]) == ("paused", ["pause"])
    again = await saga(data, "pause", RUN, *WHY, "--yes")
    assert (again.status, again.out) == (0, f"{RUN}  it is paused already\n0 changed\n")
    refused = await saga(data, "retry", RUN, *WHY, "--yes")
    assert (refused.status, "resume it first" in refused.out) == (1, True)
    assert (await saga(data, "resume", RUN, *WHY, "--yes")).status == 0
    (effect,) = json.loads((await saga(data, "resolve", "--state", "parked", *WHY, "--json")).out)
    assert effect["text"] == "reserve counts as undone"
    runner = SagaRunner(shop.database, [shop.saga()], CLOCK, "next", SETTINGS, service="shop")
    work = asyncio.create_task(runner.run())
    progress = await runner.wait_ended(ref_of(RUN), CLOCK.monotonic() + PATIENCE)
    assert (progress.outcome, progress.ended) == (SagaOutcome.REJECTED, True)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retry", *WHY), "Name runs, or choose them"),
        (("retry", "nonsense", *WHY), "must read SAGA:SUBJECT:ATTEMPT"),
        (("retry", "place:O-9:1", *WHY, "--yes"), "there is no such run"),
        (("retry", RUN, "--yes"), "Missing option '--why'"),
        (("show", "place:O-9:1"), "there is no run place:O-9:1"),
        (("list", "--state", "well"), "'well' is not one of"),
    ],
)
async def test_a_mistake_is_said_in_a_line_and_changes_nothing(
    data: Path, arguments: tuple[str, ...], said: str
) -> None:
    ended = await saga(data, *arguments)
    assert ended.status != 0
    assert said in ended.err


async def test_this_code_can_end_the_runs_of_its_own_definitions(data: Path) -> None:
    ended = await saga(data, "check")
    assert ended.status == 1
    assert "this code has no service 'shop' with sagas" in ended.out
    assert ended.out.splitlines()[1] == f"  {RUN}  parked"


async def test_what_a_run_waits_for_is_shown(tmp_path: Path) -> None:
    shop = await Shop.open(tmp_path, approval=3_600.0)
    runner = SagaRunner(shop.database, [shop.saga()], CLOCK, "first", SETTINGS, service="shop")
    await shop.start(runner)
    await runner.close(PATIENCE)
    await shop.close()
    assert (await saga(tmp_path, "list", "--state", "waiting")).out.startswith(
        f"{RUN}  shop: waiting, awaiting 'approval', since 20"
    )
    (run_,) = json.loads((await saga(tmp_path, "list", "--json")).out)
    until = run_["steps"][-1]["until"]
    assert f"approval: waits for approval O-1 until {until[:19]}Z" in (await saga(tmp_path, "show", RUN)).out
    ended = await saga(tmp_path, "compensate", RUN, *WHY, "--yes")
    assert ended.out.endswith("1 changed, as soon as the system runs\n")
    shop = await Shop.open(tmp_path, approval=3_600.0)
    runner = SagaRunner(shop.database, [shop.saga()], CLOCK, "next", SETTINGS, service="shop")
    work = asyncio.create_task(runner.run())
    assert (await runner.wait_ended(ref_of(RUN), CLOCK.monotonic() + PATIENCE)).outcome is SagaOutcome.REJECTED
    await shop.deliver(runner)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await shop.close()
    assert "approval O-1: late (M-1)" in (await saga(tmp_path, "show", RUN)).out
