"""An operator gives a parked event another payload: what arrives, what is kept, and what is refused, from outside."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from shop.payment.v1.payment_pb2 import PaymentRefunded
from soukapi.v1.event_pb2 import Event

from souk.events.envelope import unpack
from souk.kernel.clock import SystemClock
from souk.kernel.errors import PoisonedEvent
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.outbox import Outbox
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.processes import Ended, run
from souk.testing.relaying import Listener, World, eventually, running

TYPE = PaymentRefunded.DESCRIPTOR.full_name
WHY = ("--why", "lost a digit")


def react(event: Event) -> None:
    raise PoisonedEvent("no amount")


async def world_in(data: Path) -> World:
    database = await SqliteDatabase.open(data / "shop.db", clock=SystemClock())
    await migrate(database, platform_migrations(), PLATFORM)
    return World(database)


async def parked_in(data: Path, *consumers: str) -> None:
    """Leaves the event EVT-7 parked for consumers of the service "mail"."""
    world = await world_in(data)
    await world.services.start("mail", {name: Listener(react) for name in consumers})
    payload = PaymentRefunded(payment_id="PAY-1", order_id="ORD-1")
    outbox = Outbox("source", SystemClock())
    await world.database.run(lambda tx: outbox.publish(tx, "ORD-1", payload, event_id="EVT-7"))
    relay = world.relay(*(("mail", name) for name in consumers), types=(TYPE,))

    async def are_parked() -> bool:
        return len(await relay.parked()) == len(consumers)

    async with running(relay):
        await eventually(are_parked)
    await world.services.close()
    await world.database.close()


async def edit(data: Path, *arguments: str, editor: str = "false", given: str = "") -> Ended:
    settings = {"EDITOR": editor, "VISUAL": editor}
    command = ("events", "edit", "EVT-7", *arguments, "--data", str(data))
    return await run(*command, settings=settings, given=given.encode())


async def shown(data: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((await run("events", "show", "EVT-7", "--data", str(data))).out)
    return found


@pytest.fixture
def editor(tmp_path: Path) -> Callable[[str], str]:
    """Makes an editor that runs a line of shell on the file "$1"."""

    def make(line: str) -> str:
        script = tmp_path / "editor"
        script.write_text(f"#!/bin/sh\n{line}\n")
        os.chmod(script, 0o700)
        return str(script)

    return make


async def test_an_edited_event_comes_with_its_new_payload(tmp_path: Path, editor: Callable[[str], str]) -> None:
    await parked_in(tmp_path, "all", "other")
    ended = await edit(
        tmp_path, *WHY, "--yes", "--consumer", "mail/all", editor=editor("""sed -i 's/PAY-1/PAY-10/' "$1" """)
    )
    assert (ended.status, ended.out) == (0, "1 edited and will be sent again when the system next runs\n"), ended.err
    world, one, other = await world_in(tmp_path), Listener(), Listener()
    await world.services.start("mail", {"all": one, "other": other})
    async with running(world.relay(("mail", "all"), ("mail", "other"), types=(TYPE,))) as relay:
        await one.until(lambda: bool(one.received))
        await relay.replay("EVT-7")
        await other.until(lambda: bool(other.received))
    assert unpack(one.received[0], PaymentRefunded) == PaymentRefunded(payment_id="PAY-10", order_id="ORD-1")
    assert unpack(other.received[0], PaymentRefunded).payment_id == "PAY-1"
    assert one.received[0].id == "EVT-7"
    await world.services.close()
    await world.database.close()
    record = await shown(tmp_path)
    assert record["payload"] == {"payment_id": "PAY-1", "order_id": "ORD-1"}
    edited, replayed = record["decisions"]  # type: ignore[misc]
    assert (edited["decision"], edited["consumer"], edited["why"]) == ("edited", "mail/all", "lost a digit")
    assert edited["by"]
    assert edited["payload_before"] == {"payment_id": "PAY-1", "order_id": "ORD-1"}
    assert replayed["decision"] == "replayed"


async def test_the_payload_may_come_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    await parked_in(tmp_path, "all")
    file = tmp_path / "payload.json"
    file.write_text('{"payment_id": "PAY-2", "order_id": "ORD-1"}')
    assert (await edit(tmp_path, *WHY, "--file", str(file), "--yes")).status == 0
    assert (await shown(tmp_path))["parked"] == []
    again = await edit(tmp_path, *WHY, "--json", "--yes", given="{}")
    assert (again.status, again.err) == (
        1,
        "Error: no such event is parked: EVT-7; `souk events parked` lists what is\n",
    )


REFUSED = [
    ("{", "nothing was changed: this is no shop.payment.v1.PaymentRefunded: Failed to load JSON"),
    ('{"amuont": 1}', 'has no field named "amuont"'),
    ('{"order_id": 7}', "order_id"),
    ('{"order_id": "ORD-1", "order_id": "ORD-1"}', "duplicate key"),
    ('{"order_id": "ORD-2"}', "order_id must stay 'ORD-1'"),
    ("{}", "order_id must stay 'ORD-1'"),
]


@pytest.mark.parametrize(("text", "says"), REFUSED)
async def test_what_the_contract_does_not_know_changes_nothing(tmp_path: Path, text: str, says: str) -> None:
    await parked_in(tmp_path, "all")
    ended = await edit(tmp_path, *WHY, "--json", "--yes", given=text)
    assert ended.status == 1
    assert says in ended.err
    assert "Traceback" not in ended.err
    record = await shown(tmp_path)
    assert len(record["parked"]) == 1  # type: ignore[arg-type]
    assert record["decisions"] == []


@pytest.mark.full
async def test_an_editor_that_fails_or_saves_nothing_changes_nothing(
    tmp_path: Path, editor: Callable[[str], str]
) -> None:
    await parked_in(tmp_path, "all")
    for broken, says in (
        ("false", "false: Editing failed"),
        ("/no/such/editor", "Editing failed"),
        ("true", "the editor saved no other payload"),
        (editor('echo "{" > "$1"'), "Failed to load JSON"),
    ):
        ended = await edit(tmp_path, *WHY, "--yes", editor=broken)
        assert ended.status == 1
        assert says in ended.err
        assert "Traceback" not in ended.err
    missing = await edit(tmp_path, *WHY, "--yes", "--file", str(tmp_path / "none.json"))
    assert "nothing was changed: [Errno 2] No such file" in missing.err
    assert (await edit(tmp_path, "--why", " ", "--yes")).status == 2
    assert (await edit(tmp_path, *WHY, "--json", "--file", "x")).status == 2
    unasked = await edit(tmp_path, *WHY, "--json", given='{"order_id": "ORD-1"}')
    assert "use --yes" in unasked.err
    assert (await shown(tmp_path))["decisions"] == []


async def test_an_event_that_was_decided_meanwhile_is_not_edited(tmp_path: Path, editor: Callable[[str], str]) -> None:
    """Two operators: while the first edits, the second replays, and it is parked anew."""
    await parked_in(tmp_path, "all", "other")
    sql = "UPDATE souk_outbox_delivery SET changed_at = changed_at + 1 WHERE consumer = 'mail/other'"
    other = tmp_path / "other.py"
    other.write_text(f"""import sqlite3
with sqlite3.connect({str(tmp_path / "shop.db")!r}) as database:
    database.execute({sql!r})
""")
    line = f"""{sys.executable} {other} && sed -i 's/PAY-1/PAY-10/' "$1" """
    ended = await edit(tmp_path, *WHY, "--yes", editor=editor(line))
    assert ended.status == 1
    assert "nothing was changed: EVT-7 is not parked any more for mail/other as it was shown" in ended.err
    record = await shown(tmp_path)
    assert [one.get("payload") for one in record["parked"]] == [None, None]  # type: ignore[attr-defined]
    assert record["decisions"] == []
