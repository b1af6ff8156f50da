"""A consumer behind a broker: what it handles, passes over, has come again, and parks."""

import asyncio
from collections.abc import Callable

import pytest
from soukapi.v1.event_pb2 import Event

from souk.events.causes import Cause
from souk.events.pubsub import subscriber
from souk.events.pubsub.subscriber import Postponed, Subscriber
from souk.events.pubsub.topics import groups_of, topic_of
from souk.kernel.clock import SystemClock
from souk.kernel.context import current
from souk.kernel.errors import PoisonedEvent, StoreUnavailable
from souk.runtime.service import Subscription

TYPE = "shop.order.v1.OrderConfirmed"


class Lot:
    """Records what is parked; raises while it is `away`."""

    def __init__(self) -> None:
        self.parked: list[tuple[str, str, int]] = []
        self.causes: list[Cause] = []
        self.away = False

    async def __call__(self, event: Event, cause: Cause, failures: int) -> None:
        if self.away:
            raise ConnectionError
        self.parked.append((event.id, cause.reason, failures))
        self.causes.append(cause)


class Consumer:
    """A consumer with its subscriber; `fails` gives the error of a try, by its number from 1, or None."""

    def __init__(self, fails: Callable[[int], Exception | None] = lambda tries: None) -> None:
        self.lot = Lot()
        self.tries = 0
        self.handled: list[str] = []
        self.caller = ""
        self._fails = fails
        self.subscriber = Subscriber(
            NoBroker(), "mail", "all", [TYPE], self._handle, self.lot, SystemClock(), event_timeout=0.2
        )

    async def _handle(self, event: Event) -> None:
        self.tries += 1
        self.caller = current().caller.service
        if (error := self._fails(self.tries)) is not None:
            raise error
        self.handled.append(event.id)

    async def gets(self, event: Event, times: int = 1) -> None:
        """Has the subscriber postpone an event `times` - 1 times, and then be done with it."""
        for _ in range(times - 1):
            with pytest.raises(Postponed):
                await self.subscriber.handle(event)
        await self.subscriber.handle(event)


class NoBroker:
    """A broker that only counts what is consumed."""

    system = "test"

    def __init__(self) -> None:
        self.consumed: list[tuple[str, str]] = []

    async def consume(self, topic: str, group: str, handle: object, types: object) -> None:
        self.consumed.append((topic, group))


def made(name: str = "EVT-1", type_name: str = TYPE) -> Event:
    return Event(id=name, type=type_name, source="order", key="k")


async def test_an_event_is_handled_in_the_name_of_the_service() -> None:
    consumer = Consumer()
    await consumer.gets(made())
    assert consumer.handled == ["EVT-1"]
    assert consumer.caller == "mail"


async def test_types_that_it_does_not_listen_to_are_passed_over() -> None:
    consumer = Consumer()
    await consumer.gets(made(type_name="shop.order.v2.Reopened"))
    assert (consumer.tries, consumer.lot.parked) == (0, [])


async def test_a_handler_that_fails_gets_the_event_again_and_then_it_is_parked() -> None:
    consumer = Consumer(lambda tries: KeyError("bug"))
    await consumer.gets(made(), 5)
    assert consumer.lot.parked == [("EVT-1", "KeyError, 5 times", 5)]
    assert len(consumer.lot.causes[0].digest) == 8
    assert f"{__name__}:" in consumer.lot.causes[0].location


async def test_failures_of_one_event_are_not_counted_for_another() -> None:
    consumer = Consumer(lambda tries: KeyError("bug") if tries < 5 else None)
    await consumer.gets(made(), 5)
    await consumer.gets(made("EVT-2"))
    assert consumer.lot.parked == []


async def test_what_the_handler_refuses_is_parked_at_once() -> None:
    consumer = Consumer(lambda tries: PoisonedEvent("no template"))
    await consumer.gets(made())
    assert consumer.lot.parked == [("EVT-1", "no template", 0)]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), TimeoutError(), ConnectionError()])
async def test_what_is_away_parks_nothing_however_long(error: Exception) -> None:
    consumer = Consumer(lambda tries: error if tries < 50 else None)
    await consumer.gets(made(), 50)
    assert consumer.lot.parked == []
    assert consumer.handled == ["EVT-1"]


async def test_a_handler_without_end_is_ended_and_gets_the_event_again() -> None:
    consumer = Consumer()

    async def sleeps(event: Event) -> None:
        await asyncio.Event().wait()

    sleeper = Subscriber(NoBroker(), "mail", "all", [TYPE], sleeps, consumer.lot, SystemClock(), event_timeout=0.01)
    with pytest.raises(Postponed):
        await sleeper.handle(made())


async def test_an_event_that_cannot_be_parked_waits_and_is_not_handled_again() -> None:
    consumer = Consumer(lambda tries: PoisonedEvent("no template"))
    consumer.lot.away = True
    for _ in range(3):
        with pytest.raises(Postponed):
            await consumer.subscriber.handle(made())
    assert consumer.tries == 1
    consumer.lot.away = False
    await consumer.gets(made())
    assert (consumer.tries, consumer.lot.parked) == (1, [("EVT-1", "no template", 0)])


async def test_what_is_remembered_of_events_that_moved_away_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber, "MOST_REMEMBERED", 3)
    failing, refusing = Consumer(lambda tries: KeyError("bug")), Consumer(lambda tries: PoisonedEvent("no template"))
    refusing.lot.away = True
    for number in range(10):
        for one in (failing, refusing):
            with pytest.raises(Postponed):
                await one.subscriber.handle(made(f"EVT-{number}"))
    assert len(failing.subscriber._failures) == len(refusing.subscriber._to_park) == 3
    refusing.lot.away = False
    await refusing.gets(made("EVT-0"))
    await refusing.gets(made("EVT-9"))
    assert [name for name, _, _ in refusing.lot.parked] == ["EVT-0", "EVT-9"]
    assert refusing.tries == 11


async def test_a_message_that_is_no_event_is_parked() -> None:
    consumer = Consumer()
    await consumer.gets(Event(id="3-7", payload=b"?"))
    assert (consumer.tries, consumer.lot.parked) == (0, [("3-7", "it is no event of ours", 0)])


async def test_it_consumes_each_topic_of_its_types() -> None:
    broker = NoBroker()
    types = (TYPE, "shop.order.v2.OrderPaid", "shop.user.v1.AccountErased")
    listening = Subscriber(broker, "mail", "all", types, Consumer()._handle, Lot(), SystemClock())
    await listening.run()
    assert sorted(broker.consumed) == [("shop.order", "mail/all"), ("shop.user", "mail/all")]


@pytest.mark.parametrize(
    ("type_name", "topic"),
    [
        ("shop.order.v1.OrderConfirmed", "shop.order"),
        ("shop.order.v2beta1.OrderConfirmed", "shop.order"),
        ("google.protobuf.Int64Value", "google.protobuf"),
        ("Bare", "Bare"),
    ],
)
def test_all_versions_of_a_contract_share_a_topic(type_name: str, topic: str) -> None:
    assert topic_of(type_name) == topic


def test_a_topic_has_the_groups_of_those_that_listen_to_it() -> None:
    subscriptions = [
        ("mail", Subscription("all", (TYPE, "shop.user.v1.AccountErased"))),
        ("payment", Subscription("erase-cards", ("shop.user.v1.AccountErased",))),
    ]
    assert groups_of(subscriptions) == {
        "shop.order": ["mail/all"],
        "shop.user": ["mail/all", "payment/erase-cards"],
    }
