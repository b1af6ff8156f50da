"""Consumers of an older and of a newer version of an event, side by side, on events of both."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from souk.events.envelope import unpack
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.relaying import Listener, World, eventually, running

TYPE = "parcel.v1.ParcelMoved"


def version(states: list[str], fields: list[str]) -> type[Message]:
    """The event in one version of its contract, in a pool of its own as in a process of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="parcel.proto", package="parcel.v1", syntax="proto3")
    enum = file.enum_type.add(name="State")
    for number, name in enumerate(states):
        enum.value.add(name=name, number=number)
    message = file.message_type.add(name="ParcelMoved")
    message.field.add(name="state", number=1, label=1, type=14, type_name=".parcel.v1.State")
    for number, name in enumerate(fields, 2):
        message.field.add(name=name, number=number, label=1, type=9)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(TYPE))


OLDER: Any = version(["UNKNOWN", "SENT"], ["parcel_id"])
NEWER: Any = version(["UNKNOWN", "SENT", "AT_A_LOCKER"], ["parcel_id", "locker"])


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = await SqliteDatabase.open(tmp_path / "events.db")
    await migrate(database, platform_migrations(), PLATFORM)
    made = World(database)
    yield made
    await made.services.close()
    await database.close()


def handled(listener: Listener, kind: Any) -> list[Any]:
    return [unpack(event, kind) for event in listener.received]


async def test_older_and_newer_consumers_handle_older_and_newer_events(world: World) -> None:
    # A handler that could not read an event would raise, and the event would be parked.
    older = Listener(react=lambda event: unpack(event, OLDER))
    newer = Listener(react=lambda event: unpack(event, NEWER))
    await world.services.start("older", {"all": older})
    await world.services.start("newer", {"all": newer})
    sent = [OLDER(state=1, parcel_id="P-1"), NEWER(state=2, parcel_id="P-1", locker="L-7")]
    for payload in sent:
        await world.database.run(lambda tx, payload=payload: world.outbox.publish(tx, "P-1", payload))
    async with running(world.relay(("older", "all"), ("newer", "all"), types=(TYPE,))):
        await eventually(world.all_delivered)
    first, second = handled(older, OLDER)
    assert (first.state, first.parcel_id, second.state, second.parcel_id) == (1, "P-1", 2, "P-1")
    assert OLDER.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number.get(second.state) is None
    # What the older version passes on has all that the newer one wrote.
    assert NEWER.FromString(second.SerializeToString()).locker == "L-7"
    first, second = handled(newer, NEWER)
    assert (first.state, first.parcel_id, first.locker) == (1, "P-1", "")
    assert (second.state, second.parcel_id, second.locker) == (2, "P-1", "L-7")
