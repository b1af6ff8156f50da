"""What an operator sees of parked events and decides about them, from outside."""

import asyncio
import json
from pathlib import Path

from google.protobuf.wrappers_pb2 import Int64Value
from soukapi.v1.event_pb2 import Event

from souk.kernel.clock import SystemClock
from souk.kernel.errors import PoisonedEvent
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.processes import Ended, run
from souk.testing.relaying import Listener, World, eventually, running


def react(event: Event) -> None:
    if Int64Value.FromString(event.payload).value < 10:
        raise PoisonedEvent("too small")
    raise PoisonedEvent("too big")


async def world_in(data: Path) -> World:
    database = await SqliteDatabase.open(data / "shop.db", clock=SystemClock())
    await migrate(database, platform_migrations(), PLATFORM)
    return World(database)


async def parked_in(data: Path) -> None:
    """Leaves the events EVT-7 and EVT-8 parked for one cause, and EVT-70 for another, in shop.db."""
    world = await world_in(data)
    await world.services.start("mail", {"all": Listener(react)})
    for number in (7, 8, 70):
        await world.publish(number, event_id=f"EVT-{number}")
    relay = world.relay(("mail", "all"))

    async def are_parked() -> bool:
        return len(await relay.parked()) == 3

    async with running(relay):
        await eventually(are_parked)
    await world.services.close()
    await world.database.close()


async def events(data: Path, *arguments: str) -> Ended:
    return await run("events", *arguments, "--data", str(data))


async def ids(data: Path, *arguments: str) -> list[str]:
    return [one["id"] for one in json.loads((await events(data, "parked", "--json", *arguments)).out)]


async def test_events_with_one_cause_are_listed_together(tmp_path: Path) -> None:
    await parked_in(tmp_path)
    lines = (await events(tmp_path, "parked")).out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == ["EVT-7", "EVT-8", "EVT-70"]
    small, big = (line for line in lines if not line.startswith("  "))
    assert small.split()[1] == "2"
    assert small.endswith(": too small")
    assert big.split()[1] == "1"
    assert f" at {__name__.rpartition('.')[2]}" in big or f" at {__name__}" in big


async def test_they_are_chosen_by_what_is_known_of_them(tmp_path: Path) -> None:
    await parked_in(tmp_path)
    assert await ids(tmp_path, "--reason", "BIG") == ["EVT-70"]
    assert await ids(tmp_path, "--type", "Int64Value", "--consumer", "mail/all", "--service", "shop") == [
        "EVT-7",
        "EVT-8",
        "EVT-70",
    ]
    assert await ids(tmp_path, "--older", "1h") == []
    assert (await events(tmp_path, "parked", "--older", "soon")).status == 2


async def test_one_is_shown_with_its_payload(tmp_path: Path) -> None:
    await parked_in(tmp_path)
    shown = json.loads((await events(tmp_path, "show", "EVT-7")).out)
    assert (shown["id"], shown["payload"]) == ("EVT-7", "7")
    (why,) = shown["parked"]
    assert (why["consumer"], why["tries"], why["reason"], len(why["digest"])) == ("mail/all", 1, "too small", 8)
    ended = await events(tmp_path, "show", "EVT-9")
    message = "Error: no such event is parked: EVT-9; `souk events parked` lists what is\n"
    assert (ended.status, ended.err) == (1, message)


async def test_consumers_that_are_behind_are_listed(tmp_path: Path) -> None:
    assert (await events(tmp_path, "lag")).status == 1  # no system has kept data there
    world = await world_in(tmp_path)
    await world.database.close()
    assert (await events(tmp_path, "lag")).out == "every consumer has had every event\n"
    await parked_in(tmp_path)
    world = await world_in(tmp_path)
    await world.publish(9)
    await world.database.run(
        lambda tx: tx.execute("UPDATE souk_outbox_delivery SET state = 'pending' WHERE seq < 3"),
    )
    await world.database.close()
    found = json.loads((await events(tmp_path, "lag", "--json")).out)
    assert [(one["consumer"], one["service"], one["pending"], one["parked"]) for one in found] == [
        ("mail/all", "shop", 2, 1),
        ("not routed yet", "shop", 1, 0),
    ]
    assert all(one["age"] > 0 for one in found)
    head, mail, _ = (await events(tmp_path, "lag")).out.splitlines()
    assert head.split() == ["consumer", "service", "topic", "pending", "parked", "age"]
    assert mail.split()[:5] == ["mail/all", "shop", "-", "2", "1"]


async def test_nothing_changes_without_a_yes(tmp_path: Path) -> None:
    await parked_in(tmp_path)
    ended = await events(tmp_path, "replay", "--all")
    assert ended.status == 1
    assert "use --yes" in ended.err
    assert len(await ids(tmp_path)) == 3
    assert (await events(tmp_path, "replay", "--yes")).status == 2


async def test_what_is_replayed_comes_again_and_what_is_discarded_never_does(tmp_path: Path) -> None:
    await parked_in(tmp_path)
    assert (await events(tmp_path, "discard", "EVT-8", "--reason", "a test", "--yes")).out.startswith("1 discarded")
    why = ("--why", "mail knows 7 now")
    assert (await events(tmp_path, "replay", "--all", "--reason", "small", *why, "--yes")).out.startswith("1 will be")
    assert await ids(tmp_path) == ["EVT-70"]
    (refused,) = json.loads((await events(tmp_path, "discarded", "--json")).out)
    assert (refused["id"], refused["why"], refused["reason"]) == ("EVT-8", "a test", "too small")
    assert refused["by"]
    world, listener = await world_in(tmp_path), Listener()
    await world.services.start("mail", {"all": listener})
    async with running(world.relay(("mail", "all"))):
        await listener.has(7)
        await asyncio.sleep(0.2)
        await listener.has(7)
    kept = await world.rows("SELECT decision, why FROM souk_outbox_decision ORDER BY decided_at")
    assert [(row["decision"], row["why"]) for row in kept] == [
        ("discarded", "a test"),
        ("replayed", "mail knows 7 now"),
    ]
    await world.services.close()
    await world.database.close()
