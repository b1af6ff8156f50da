"""What an operator sees of parked steps and events, and how they are tried again."""

import asyncio
import json
from pathlib import Path

from google.protobuf.wrappers_pb2 import Int64Value
from soukapi.v1.event_pb2 import Event

from souk.events.relay import Relay
from souk.kernel.clock import SystemClock
from souk.kernel.errors import PoisonedEvent
from souk.saga.definition import Saga, SagaRef, Step
from souk.saga.runner import SagaOutcome, SagaRunner, SagaSettings
from souk.testing.processes import Ended, run, service
from souk.testing.relaying import Listener, World, eventually, running
from souk.testing.saga_suite import REFUSE, VANISH, Shop
from souk.testing.two_phase import losing_coordinator

CLOCK = SystemClock()
PATIENCE = 60.0
SETTINGS = SagaSettings(claim=0.02, poll=0.02, pause=0.002, park_after=2)
RUN = "place:O-1:1"


def poisoned(event: Event) -> None:
    raise PoisonedEvent("no number")


async def shop_with_parked(folder: Path) -> None:
    """Leaves a run with a parked undo, and a parked event, in shop.db."""
    shop = await Shop.open(folder)
    await park_an_undo(shop)
    await park_an_event(shop)
    await shop.close()


async def park_an_undo(shop: Shop) -> None:
    shop.bank.does.append(REFUSE)
    shop.stock.undoes.extend([VANISH] * 2)
    runner = SagaRunner(shop.database, [shop.saga()], CLOCK, "first", SETTINGS, service="shop")
    ref = await shop.start(runner)
    while not (await runner.wait_ended(ref, CLOCK.monotonic() + 0.02)).parked:
        pass
    await runner.close()


async def park_a_commit(shop: Shop) -> None:
    """Leaves a two-phase commit whose participant has lost its prepared transaction, in shop.db."""
    coordinator = losing_coordinator(shop.database)
    ref = await shop.database.run(lambda tx: coordinator.start(tx, "pay", "O-2", 1, b""))
    while not (await coordinator.wait_ended(ref, CLOCK.monotonic() + 0.02)).parked:
        pass
    await coordinator.close()


async def park_an_event(shop: Shop) -> None:
    world, listener = World(shop.database), Listener(poisoned)
    await world.services.start("mail", {"all": listener})
    await world.publish(7, event_id="EVT-7")
    relay = world.relay(("mail", "all"))
    async with running(relay):
        await eventually(lambda: _has_parked(relay))
    await world.services.close()


async def _has_parked(relay: Relay) -> bool:
    return bool(await relay.parked())


async def parked(data: Path, *arguments: str) -> Ended:
    return await run("parked", *arguments, "--data", str(data))


async def test_parked_steps_and_events_are_listed(tmp_path: Path) -> None:
    await shop_with_parked(tmp_path)
    lines = (await parked(tmp_path)).out.splitlines()
    assert [line.split()[0] for line in lines] == [RUN, "EVT-7"]
    assert "shop: undo of 'reserve', 2 tries, since 20" in lines[0]
    assert lines[1].endswith("no number")
    step, event = json.loads((await parked(tmp_path, "--json")).out)
    assert (step["kind"], step["service"], step["saga"], step["subject"]) == ("step", "shop", "place", "O-1")
    assert (step["step"], step["undo"], step["reason"]) == ("reserve", True, "UNAVAILABLE")
    assert (event["kind"], event["consumer"], event["key"], event["tries"]) == ("event", "mail/all", "k", 1)
    assert event["type"] == Int64Value.DESCRIPTOR.full_name
    assert "payload" not in event


async def test_all_of_it_is_tried_again_at_the_next_start(tmp_path: Path) -> None:
    await shop_with_parked(tmp_path)
    assert (await parked(tmp_path, "retry", "--all")).out.startswith("2 will be tried again")
    assert (await parked(tmp_path)).out == "nothing is parked\n"
    shop = await Shop.open(tmp_path)
    runner = SagaRunner(shop.database, [shop.saga()], CLOCK, "next", SETTINGS, service="shop")
    world, listener = World(shop.database), Listener()
    await world.services.start("mail", {"all": listener})
    running_sagas = asyncio.create_task(runner.run())
    async with running(world.relay(("mail", "all"))):
        await listener.has(7)
    progress = await runner.wait_ended(SagaRef("place", "O-1", 1), CLOCK.monotonic() + PATIENCE)
    assert (progress.outcome, progress.ended, progress.parked) == (SagaOutcome.REJECTED, True, False)
    running_sagas.cancel()
    await asyncio.gather(running_sagas, return_exceptions=True)
    await world.services.close()
    await shop.close()


async def test_a_commit_that_is_refused_is_listed_and_tried_again(tmp_path: Path) -> None:
    shop = await Shop.open(tmp_path)
    await park_a_commit(shop)
    await shop.close()
    line = (await parked(tmp_path)).out
    assert line.startswith("pay:O-2:1  shop: 'charge', 1 try, since 20"), line
    assert line.endswith(": TRANSACTION_NOT_FOUND\n")
    (step,) = json.loads((await parked(tmp_path, "--json")).out)
    assert (step["kind"], step["saga"], step["subject"], step["undo"]) == ("step", "pay", "O-2", False)
    assert (await parked(tmp_path, "retry", "pay:O-2:1")).out.startswith("1 will be tried again")
    assert (await parked(tmp_path)).out == "nothing is parked\n"


async def test_one_of_it_is_tried_again(tmp_path: Path) -> None:
    await shop_with_parked(tmp_path)
    assert (await run("parked", "--data", str(tmp_path), "retry", RUN)).out.startswith("1 will be tried again")
    assert [line.split()[0] for line in (await parked(tmp_path)).out.splitlines()] == ["EVT-7"]


async def test_what_is_not_parked_is_said_in_one_line(tmp_path: Path) -> None:
    await shop_with_parked(tmp_path)
    ended = await parked(tmp_path, "retry", "EVT-8")
    assert (ended.status, ended.err) == (1, "Error: nothing parked has the id EVT-8; `souk parked` lists what is\n")
    assert (await parked(tmp_path, "retry")).status == 2


async def test_it_needs_the_directory_for_itself(tmp_path: Path) -> None:
    async with service("inventory", tmp_path):
        ended = await parked(tmp_path)
    assert ended.status == 1
    assert "in use" in ended.err
    assert ended.err.count("\n") == 1
    assert (await parked(tmp_path)).out == "nothing is parked\n"


async def test_no_directory_is_made(tmp_path: Path) -> None:
    ended = await parked(tmp_path / "none")
    assert ended.status == 1
    assert "there is no data directory" in ended.err
    assert not (tmp_path / "none").exists()


async def test_a_run_that_the_program_does_not_know_is_listed(tmp_path: Path) -> None:
    shop, gate = await Shop.open(tmp_path), asyncio.Event()
    shop.bank.does.append(gate)
    before = SagaRunner(shop.database, [shop.saga()], CLOCK, "before", SETTINGS, service="shop")
    await shop.start(before)
    await asyncio.wait_for(shop.bank.called.wait(), PATIENCE)
    await before.close()
    after = SagaRunner(
        shop.database, [Saga("sweep", Step("x", do=shop.bank.do))], CLOCK, "after", SETTINGS, service="shop"
    )
    work = asyncio.create_task(after.run())
    while not await after.parked():
        await asyncio.sleep(0.01)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await shop.close()
    (line,) = (await parked(tmp_path)).out.splitlines()
    assert line.startswith(f"{RUN}  shop: 'charge'")
    assert line.endswith("start the one that has it, until the run has ended; `souk saga check` says more")
