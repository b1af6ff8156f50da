"""What is asked of Kafka beside events ends, also when the client never says so."""

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.kafka import admin
from souk.events.brokers.kafka.admin import KafkaAdmin
from souk.events.brokers.kafka.settings import KafkaSettings

SETTINGS = KafkaSettings("kafka.test:9092", patience=0.05)


def answered(result: object) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(result)
    return future


class ClientUnderTest:
    """A client that describes one topic; the first one that is made answers nothing, or says that it has no answer."""

    made = 0
    first_says: "Future[Any]" = Future()

    def __init__(self, settings: dict[str, Any]) -> None:
        type(self).made += 1
        self.answers = type(self).made > 1

    def describe_topics(self, topics: object, **limit: float) -> "dict[str, Future[Any]]":
        topic = SimpleNamespace(partitions=[SimpleNamespace(id=0, replicas=[1, 2])])
        return {"shop.orders": answered(topic) if self.answers else self.first_says}

    def describe_configs(self, resources: list[Any], **limit: float) -> "dict[Any, Future[Any]]":
        return {resources[0]: answered({"max.message.bytes": SimpleNamespace(value="1000")})}

    def poll(self, seconds: float) -> None:
        """There are no errors to report."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClientUnderTest, "made", 0)
    monkeypatch.setattr(admin, "AdminClient", ClientUnderTest)
    monkeypatch.setattr(admin, "_GRACE", 0.05)
    monkeypatch.setattr(admin, "_CLOSED_WITHIN", 0.05)


async def test_a_client_that_loses_an_answer_is_replaced() -> None:
    asked = KafkaAdmin(SETTINGS)
    async with asyncio.timeout(30):
        with pytest.raises(BrokerUnavailable, match=r"kafka\.test:9092: it does not answer"):
            await asked.facts("shop.orders")
        facts = await asked.facts("shop.orders")
    assert facts is not None
    assert (facts.replicas, ClientUnderTest.made) == (2, 2)
    await asked.close()


async def test_a_client_that_finds_no_broker_again_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: Future[Any] = Future()
    lost.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT, "Failed while waiting for controller")))
    monkeypatch.setattr(ClientUnderTest, "first_says", lost)
    asked = KafkaAdmin(SETTINGS)
    with pytest.raises(BrokerUnavailable, match="waiting for controller"):
        await asked.facts("shop.orders")
    assert await asked.facts("shop.orders") is not None
    assert ClientUnderTest.made == 2
    await asked.close()


async def test_it_closes_although_an_answer_was_lost() -> None:
    asked = KafkaAdmin(SETTINGS)
    question = asyncio.create_task(asked.facts("shop.orders"))
    while not ClientUnderTest.made:
        await asyncio.sleep(0)
    question.cancel()
    async with asyncio.timeout(30):
        await asked.close()


async def test_asking_goes_on_after_a_question_that_was_given_up() -> None:
    asked = KafkaAdmin(SETTINGS)
    question = asyncio.create_task(asked.facts("shop.orders"))
    while not ClientUnderTest.made:
        await asyncio.sleep(0)
    question.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(BrokerUnavailable):
            await asked.facts("shop.orders")
        assert await asked.facts("shop.orders") is not None
    await asked.close()
