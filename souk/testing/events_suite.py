"""The conformance suite of outbox and relay, for any database.

A test class derives from EventsSuite and gives it a fixture `database` that holds only the platform's tables.
`RelaysSuite` is the second half.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from soukapi.v1.event_pb2 import Event

from souk.events.relay import Relay, RelaySettings
from souk.kernel.clock import SystemClock
from souk.kernel.errors import PoisonedEvent, StoreUnavailable
from souk.store.database import Database, Transaction
from souk.store.outbox import Outbox, partition_of
from souk.testing.relaying import NUMBER, QUICK, Listener, World, eventually, running


def sibling(key: str) -> str:
    """Returns another key in the same partition."""
    names = (f"{key}-{n}" for n in range(10_000))
    return next(name for name in names if partition_of(name) == partition_of(key))


def stranger(key: str) -> str:
    """Returns a key in another partition."""
    return next(name for name in (f"{key}-{n}" for n in range(10)) if partition_of(name) != partition_of(key))


class EventsSuite:
    """Tests of one outbox and one relay, with services that start and stop."""

    @pytest.fixture
    async def world(self, database: Database) -> AsyncIterator[World]:
        world = World(database)
        yield world
        await world.services.close()

    async def test_order_of_a_key_is_kept(self, world: World) -> None:
        listener = Listener()
        await world.services.start("mail", {"all": listener})
        await world.publish(*range(50))
        async with running(world.relay(("mail", "all"))):
            await world.publish(*range(50, 60))
            await listener.has(*range(60))
        assert {event.source for event in listener.received} == {"source"}

    async def test_an_event_dies_with_its_transaction(self, world: World) -> None:
        listener = Listener()
        await world.services.start("mail", {"all": listener})

        async def work(tx: Transaction) -> None:
            await world.outbox.publish(tx, "k", Int64Value(value=1))
            raise ZeroDivisionError

        async with running(world.relay(("mail", "all"))):
            with pytest.raises(ZeroDivisionError):
                await world.database.run(work)
            await world.publish(2)
            await listener.has(2)

    async def test_an_event_id_is_published_once(self, world: World) -> None:
        listener = Listener()
        await world.services.start("mail", {"all": listener})
        await world.publish(1, 1, event_id="EVT-1")
        await world.publish(2)
        async with running(world.relay(("mail", "all"))):
            await listener.has(1, 2)

    async def test_only_subscribed_types_arrive(self, world: World) -> None:
        listener = Listener()
        await world.services.start("mail", {"all": listener})
        await world.database.run(lambda tx: world.outbox.publish(tx, "k", StringValue(value="not asked for")))
        await world.publish(1)
        async with running(world.relay(("mail", "all"))):
            await listener.has(1)

    async def test_a_consumer_that_was_away_hears_everything(self, world: World) -> None:
        listener, other = Listener(), Listener()
        await world.services.start("mail", {"all": listener})
        await world.services.start("stats", {"all": other})
        await world.services.stop("mail")
        one = world.relay(("mail", "all"), ("stats", "all"))
        async with running(one):
            await world.publish(*range(20))
            await other.has(*range(20))
            assert listener.numbers == []
            await eventually(lambda: _is_up_to_date(one, "stats/all"))
            assert not await _is_up_to_date(one, "mail/all")
            await world.services.start("mail", {"all": listener})
            await listener.has(*range(20))
            assert await one.parked() == []

    async def test_a_service_without_the_consumer_parks_nothing(self, world: World) -> None:
        listener = Listener()
        await world.services.start("mail", {})
        one = world.relay(("mail", "all"))
        async with running(one):
            await world.publish(1)
            await world.services.stop("mail")
            await world.services.start("mail", {"all": listener})
            await listener.has(1)
            assert await one.parked() == []

    async def test_poison_is_parked_and_replayed(self, world: World) -> None:
        listener = Listener()

        def choke(event: Event) -> None:
            if event.payload == Int64Value(value=2).SerializeToString():
                raise PoisonedEvent("two is one too many")

        listener.react = choke
        await world.services.start("mail", {"all": listener})
        await world.publish(1, 2, 3)
        one = world.relay(("mail", "all"))
        async with running(one):
            await listener.has(1, 3)
            await eventually(lambda: _any(one.parked()))
            (parked,) = await one.parked()
            assert (parked.consumer, parked.cause.reason) == ("mail/all", "two is one too many")
            await eventually(lambda: _is_up_to_date(one, "mail/all"))
            listener.react = lambda event: None
            assert await one.replay("EVT-unknown") == 0
            assert await one.replay(parked.event.id, "stats/all") == 0
            assert await one.replay(parked.event.id) == 1
            await listener.has(1, 3, 2)
            await eventually(lambda: world.all_delivered())
            assert await one.parked() == []

    async def test_a_bug_parks_after_a_few_tries_and_holds_up_its_key_alone(self, world: World) -> None:
        listener, tries = Listener(), []

        def bug(event: Event) -> None:
            if event.payload == Int64Value(value=1).SerializeToString():
                tries.append(event)
                raise KeyError("secret")

        listener.react = bug
        await world.services.start("mail", {"all": listener})
        await world.publish(1, 2, key="k")
        await world.publish(3, key=sibling("k"))
        await world.publish(4, key=stranger("k"))
        one = world.relay(("mail", "all"))
        async with running(one):
            await listener.has(3, 4, 2)
            await eventually(lambda: _any(one.parked()))
        (parked,) = await one.parked()
        assert (parked.cause.reason, parked.failures, len(tries)) == ("KeyError, 5 times", 5, 5)
        assert len(parked.cause.digest) == 8
        assert parked.cause.location.startswith("souk.testing.events_suite:")

    async def test_something_a_handler_needs_is_away_for_long(self, world: World) -> None:
        listener, tries = Listener(), []

        def away(event: Event) -> None:
            tries.append(event)
            if len(tries) < 15:
                raise StoreUnavailable("locked")

        listener.react = away
        await world.services.start("mail", {"all": listener})
        await world.publish(1, 2)
        one = world.relay(("mail", "all"))
        async with running(one):
            await listener.has(1, 2)
        assert await one.parked() == []

    async def test_a_lower_number_that_commits_later_is_delivered(self, world: World) -> None:
        listener = Listener()
        await world.services.start("mail", {"all": listener})
        commit_first = await _publish_second_first(world)
        async with running(world.relay(("mail", "all"))):
            await listener.has(2)
            await eventually(lambda: world.all_delivered())
            await commit_first()
            await listener.has(2, 1)
        first, second = await world.rows("SELECT payload FROM souk_outbox ORDER BY seq")
        assert first["payload"] == Int64Value(value=1).SerializeToString() != second["payload"]

    async def test_old_delivered_events_are_deleted_and_others_kept(self, world: World) -> None:
        listener = Listener()

        def choke(event: Event) -> None:
            if event.key == "poison":
                raise PoisonedEvent("no")

        listener.react = choke
        await world.services.start("mail", {"all": listener})
        settings = RelaySettings(delivery=QUICK.delivery, linger=0.0, sweep=0.02, sweep_batch=3, retention=0.0)
        await world.publish(1, key="poison")
        await world.publish(*range(10))

        async def one_is_left() -> bool:
            return len(await world.rows("SELECT seq FROM souk_outbox")) == 1

        async with running(world.relay(("mail", "all"), settings=settings)) as one:
            await eventually(one_is_left)
            assert len(await one.parked()) == 1
        assert len(await world.rows("SELECT seq FROM souk_outbox_delivery")) == 1

    async def test_an_event_is_kept_for_as_long_as_its_contract_says(self, world: World) -> None:
        listener, text = Listener(), StringValue.DESCRIPTOR.full_name
        await world.services.start("mail", {"all": listener})
        settings = RelaySettings(delivery=QUICK.delivery, linger=0.0, sweep=0.02, retention=0.0)
        await world.publish(1)
        await world.database.run(lambda tx: world.outbox.publish(tx, "k", StringValue(value="kept")))
        await world.publish(2)

        async def texts_are_left() -> bool:
            return [row["type"] for row in await world.rows("SELECT type FROM souk_outbox")] == [text]

        kept = {text: 3_600.0, NUMBER: 0.0, "shop.order.v1.OrderConfirmed": 60.0}
        async with running(world.relay(("mail", "all"), settings=settings, types=(NUMBER, text), retentions=kept)):
            await eventually(texts_are_left)
        assert len(listener.received) == 3

    async def test_a_large_event_is_refused_and_many_are_cut(self, world: World) -> None:
        listener = Listener()
        await world.services.start("mail", {"all": listener})
        with pytest.raises(ValueError, match="the limit is"):
            await world.database.run(lambda tx: world.outbox.publish(tx, "k", StringValue(value="x" * (1 << 20))))
        for _ in range(6):
            await world.database.run(lambda tx: world.outbox.publish(tx, "k", StringValue(value="x" * 1_000_000)))
        one = world.relay(("mail", "all"), types=(StringValue.DESCRIPTOR.full_name,))
        async with running(one):
            await listener.until(lambda: len(listener.received) == 6)


async def _is_up_to_date(relay: Relay, consumer: str) -> bool:
    return (await relay.lag())[consumer] == 0.0


async def _any(found: Awaitable[Sequence[object]]) -> bool:
    return bool(await found)


async def _publish_second_first(world: World) -> Callable[[], Awaitable[object]]:
    """Publishes 2 while a transaction with a lower sequence number is open; returns a function that commits that one.

    SQLite has one writer, so there the transaction is imitated.
    """
    if world.database.dialect.name == "sqlite":
        await world.publish(0, 2)
        await world.database.run(lambda tx: tx.execute("DELETE FROM souk_outbox WHERE seq = 1"))
        return lambda: world.database.run(_insert_below)
    started = asyncio.Event()

    async def slow(tx: Transaction) -> None:
        await world.outbox.publish(tx, "first", Int64Value(value=1))
        started.set()
        await tx.fetch("SELECT pg_sleep(1)")

    task = asyncio.ensure_future(world.database.run(slow))
    await started.wait()
    await world.publish(2, key="second")
    return lambda: task


async def _insert_below(tx: Transaction) -> None:
    await Outbox("source", SystemClock()).publish(tx, "first", Int64Value(value=1))
    await tx.execute("UPDATE souk_outbox SET seq = 1 WHERE seq = (SELECT MAX(seq) FROM souk_outbox)")
