"""The conformance suite of an outbox whose events go through a broker, and of what is parked in it, for any database.

A test class derives from BrokeredSuite and gives it a fixture `database` that holds only the platform's tables.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from soukapi.v1.event_pb2 import DeliveryResult, Event, ParkRequest

from souk.events import store
from souk.events.causes import Cause
from souk.events.envelope import unpack
from souk.events.parked_store import ParkedDecision, discarded
from souk.events.relay import RelaySettings, discard
from souk.events.sender import Route
from souk.events.source import EventSourceServicer
from souk.kernel.context import CallContext, Caller, use
from souk.kernel.errors import PermissionDenied
from souk.store.database import Database, Transaction
from souk.testing.relaying import Listener, World, eventually, running


class StoringBroker:
    """Stands for a broker: it stores each event, unless it is `away` or the event is longer than `largest` bytes."""

    system = "test"

    def __init__(self) -> None:
        self.stored: list[Event] = []
        self.at_once: list[int] = []
        self.away = False
        self.largest = 1 << 20
        self.tried = asyncio.Event()

    async def hand_over(self, route: Route, events: Sequence[Event]) -> list[DeliveryResult]:
        self.tried.set()
        if self.away:
            raise ConnectionError
        fit = [event for event in events if len(event.payload) <= self.largest]
        self.stored += fit
        self.at_once.append(len(events))
        return [
            DeliveryResult(event_id=event.id, poison="" if event in fit else f"the broker takes {self.largest} bytes")
            for event in events
        ]

    @property
    def numbers(self) -> list[int]:
        """The payloads of what is stored, in order."""
        return [unpack(event, Int64Value).value for event in self.stored if event.type.endswith("Int64Value")]


async def park(world: World, event: Event, *, caller: str = "mail", name: str = "source") -> None:
    """Has the service `name` park an event, as the consumer "all" of `caller` asks."""
    request = ParkRequest(event=event, consumer="all", reason="no template", failures=3, digest="1f", location="m:7")
    with use(CallContext(caller=Caller(service=caller))):
        await EventSourceServicer(name, world.database).Park(request, cast(Any, None))


class BrokeredSuite:
    """Tests of one outbox, its relay, and a broker."""

    @pytest.fixture
    async def brokered(self, database: Database) -> AsyncIterator[World]:
        world = World(database)
        yield world
        await world.services.close()

    async def test_a_broker_gets_every_event_once_and_consumers_are_not_called(self, brokered: World) -> None:
        broker, listener = StoringBroker(), Listener()
        await brokered.services.start("mail", {"all": listener})
        await brokered.publish(1, 2, 3)
        await brokered.database.run(lambda tx: brokered.outbox.publish(tx, "k", StringValue(value="nobody listens")))
        async with running(brokered.relay(("mail", "all"), ("mail", "more"), broker=broker)) as relay:
            await eventually(brokered.all_delivered)
            assert await relay.lag() == {"mail/all": 0, "mail/more": 0, "broker/all": 0}
        assert broker.numbers == [1, 2, 3]
        assert len(broker.stored) == 4
        assert listener.received == []

    async def test_a_broker_gets_many_events_at_once_in_order(self, brokered: World) -> None:
        broker = StoringBroker()

        async def work(tx: Transaction) -> None:
            for number in range(700):
                await brokered.outbox.publish(tx, f"key-{number % 3}", Int64Value(value=number))

        await brokered.database.run(work)
        async with running(brokered.relay(("mail", "all"), broker=broker)):
            await eventually(brokered.all_delivered, 30.0)
        assert broker.numbers == [*range(700)]
        assert max(broker.at_once) > RelaySettings().delivery.batch

    async def test_while_the_broker_is_away_events_wait_in_order(self, brokered: World) -> None:
        broker = StoringBroker()
        broker.away = True
        async with running(brokered.relay(("mail", "all"), broker=broker)):
            await brokered.publish(*range(20))
            await broker.tried.wait()
            assert broker.stored == []
            broker.away = False
            await eventually(brokered.all_delivered)
        assert broker.numbers == list(range(20))

    async def test_services_elsewhere_are_called_as_without_a_broker(self, brokered: World) -> None:
        broker, listener = StoringBroker(), Listener()
        await brokered.services.start("mail", {"all": listener})
        async with running(brokered.relay(("mail", "all"), broker=broker, elsewhere={"mail"})):
            await brokered.publish(1, 2)
            await listener.has(1, 2)
            await eventually(brokered.all_delivered)
        assert broker.numbers == [1, 2]

    async def test_what_waits_for_a_broker_that_is_no_more_is_delivered_by_calls(self, brokered: World) -> None:
        broker, listener = StoringBroker(), Listener()
        broker.away = True
        await brokered.services.start("mail", {"all": listener})
        async with running(brokered.relay(("mail", "all"), broker=broker)):
            await brokered.publish(1, 2)
            await broker.tried.wait()
        async with running(brokered.relay(("mail", "all"), owner="relay-2")):
            await listener.has(1, 2)

    @pytest.mark.parametrize("kept", [True, False])
    async def test_a_consumer_parks_an_event_and_a_replay_calls_it(self, brokered: World, kept: bool) -> None:
        broker, listener = StoringBroker(), Listener()
        await brokered.services.start("mail", {"all": listener})
        async with running(brokered.relay(("mail", "all"), broker=broker)) as relay:
            await brokered.publish(7)
            await eventually(brokered.all_delivered)
            (event,) = broker.stored
            if not kept:
                await brokered.database.run(lambda tx: tx.execute("DELETE FROM souk_outbox_delivery"))
                await brokered.database.run(lambda tx: tx.execute("DELETE FROM souk_outbox"))
            await park(brokered, event)
            await park(brokered, event)
            (parked,) = await relay.parked()
            assert (parked.consumer, parked.cause, parked.failures) == (
                "mail/all",
                Cause("no template", "1f", "m:7"),
                3,
            )
            assert parked.event == event
            assert await relay.counts() == {
                ("mail/all", "pending"): 0,
                ("mail/all", "parked"): 1,
                ("broker/all", "pending"): 0,
                ("broker/all", "parked"): 0,
            }
            assert await relay.replay(event.id) == 1
            await listener.has(7)
            await eventually(brokered.all_delivered)
        assert broker.numbers == [7]

    async def test_an_event_that_was_handled_after_a_replay_is_not_parked_again(self, brokered: World) -> None:
        """The request that parked it was sent twice, and the second one was late."""
        broker, listener = StoringBroker(), Listener()
        await brokered.services.start("mail", {"all": listener})
        async with running(brokered.relay(("mail", "all"), broker=broker)) as relay:
            await brokered.publish(7)
            await eventually(brokered.all_delivered)
            await park(brokered, broker.stored[0])
            await relay.replay(broker.stored[0].id)
            await listener.has(7)
            await eventually(brokered.all_delivered)
            await park(brokered, broker.stored[0])
            assert await relay.parked() == []

    async def test_a_service_parks_its_own_events_alone(self, brokered: World) -> None:
        with pytest.raises(PermissionDenied):
            await park(brokered, Event(id="EVT-1", type="t", source="another", key="k"))

    async def test_a_discarded_event_never_comes_and_is_kept_with_who_and_why(self, brokered: World) -> None:
        broker, listener = StoringBroker(), Listener()
        await brokered.services.start("mail", {"all": listener})
        async with running(brokered.relay(("mail", "all"), broker=broker)) as relay:
            await brokered.publish(7)
            await eventually(brokered.all_delivered)
            await park(brokered, broker.stored[0])
            event_id, decision = broker.stored[0].id, ParkedDecision("ada", "a test")
            assert await discard(brokered.database, event_id, "mail/other", decision) == 0
            assert await discard(brokered.database, event_id, "mail/all", decision) == 1
            await park(brokered, broker.stored[0])
            assert await relay.replay(event_id) == 0
            assert await relay.parked() == []
        (refused,) = await brokered.database.read(lambda tx: discarded(tx, 10))
        assert (refused.id, refused.consumer, refused.decision) == (event_id, "mail/all", decision)
        await brokered.database.run(lambda tx: store.sweep(tx, -1.0, 10))
        assert len(await brokered.rows("SELECT id FROM souk_outbox")) == 1
        assert listener.received == []
