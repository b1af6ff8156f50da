"""Kafka as tests start it: what was acknowledged outlives a crash, and a paused broker answers nobody."""

import asyncio
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from souk.testing.servers.kafka import KafkaServer

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("kafka")]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
async def kafka(server: KafkaServer) -> KafkaServer:
    await server.start()
    return server


def client(kafka: KafkaServer) -> dict[str, object]:
    return {"bootstrap.servers": kafka.address, "log_level": 0}


def make_topic(kafka: KafkaServer) -> str:
    name = f"topic-{uuid.uuid4().hex}"
    admin = AdminClient(client(kafka))
    admin.create_topics([NewTopic(name, 3, 1)])[name].result(PATIENCE)
    return name


def send(kafka: KafkaServer, topic: str, value: bytes) -> None:
    producer = Producer({**client(kafka), "enable.idempotence": True})
    failures: list[object] = []
    producer.produce(topic, value, key=b"key", on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(PATIENCE) == 0
    assert failures == [None]


def receive(kafka: KafkaServer, topic: str) -> Message:
    consumer = Consumer(
        {
            **client(kafka),
            "group.id": f"group-{uuid.uuid4().hex}",
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe([topic])
        message = consumer.poll(PATIENCE)
        assert message is not None
        assert message.error() is None
        consumer.commit(message, asynchronous=False)
        return message
    finally:
        consumer.close()


async def test_an_acknowledged_message_outlives_a_crash(kafka: KafkaServer) -> None:
    topic = await asyncio.to_thread(make_topic, kafka)
    await asyncio.to_thread(send, kafka, topic, b"kept")
    kafka.kill()
    assert not kafka.running
    await kafka.start()
    assert (await asyncio.to_thread(receive, kafka, topic)).value() == b"kept"


async def test_it_goes_on_after_a_stop(kafka: KafkaServer) -> None:
    topic = await asyncio.to_thread(make_topic, kafka)
    await asyncio.to_thread(send, kafka, topic, b"kept")
    await kafka.stop()
    await kafka.start()
    assert (await asyncio.to_thread(receive, kafka, topic)).value() == b"kept"


async def test_a_paused_broker_answers_nobody(kafka: KafkaServer) -> None:
    kafka.pause()
    with pytest.raises(KafkaException):
        await asyncio.to_thread(AdminClient(client(kafka)).list_topics, timeout=0.5)
    kafka.resume()
    topic = await asyncio.to_thread(make_topic, kafka)
    await asyncio.to_thread(send, kafka, topic, b"again")


async def test_a_transaction_is_seen_whole(kafka: KafkaServer) -> None:
    topic = await asyncio.to_thread(make_topic, kafka)

    def transact() -> None:
        producer = Producer({**client(kafka), "transactional.id": topic})
        producer.init_transactions(PATIENCE)
        for value, ends in ((b"lost", producer.abort_transaction), (b"kept", producer.commit_transaction)):
            producer.begin_transaction()
            producer.produce(topic, value, key=b"key")
            ends(PATIENCE)

    await asyncio.to_thread(transact)
    assert (await asyncio.to_thread(receive, kafka, topic)).value() == b"kept"
