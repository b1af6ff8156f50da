"""SQS and SNS as tests start them: what SQS has taken outlives a crash; a topic of SNS delivers to a queue."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ReadTimeoutError

from souk.testing.servers.elasticmq import ElasticMqServer
from souk.testing.servers.moto import MotoServer

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("sqs")]
WAIT = 20
"""Seconds of a long poll, the most that SQS allows."""


@pytest.fixture(scope="module")
def elasticmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticMqServer]:
    with ElasticMqServer(tmp_path_factory.mktemp("elasticmq")) as server:
        yield server


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    with MotoServer(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
async def sqs(elasticmq: ElasticMqServer) -> ElasticMqServer:
    await elasticmq.start()
    return elasticmq


@asynccontextmanager
async def client(service: str, url: str, patience: float = 60.0) -> AsyncIterator[Any]:
    config = AioConfig(read_timeout=patience, connect_timeout=patience, retries={"max_attempts": 0})
    async with get_session().create_client(
        service,
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=config,
    ) as made:
        yield made


async def send(url: str, body: str) -> str:
    """Makes a queue, first in and first out, and sends to it; gives its URL."""
    async with client("sqs", url) as queues:
        name = f"queue-{uuid.uuid4().hex}.fifo"
        made = await queues.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})
        await queues.send_message(
            QueueUrl=made["QueueUrl"], MessageBody=body, MessageGroupId="key", MessageDeduplicationId=name
        )
        return str(made["QueueUrl"])


async def receive(url: str, queue: str) -> str:
    async with client("sqs", url) as queues:
        got = await queues.receive_message(QueueUrl=queue, WaitTimeSeconds=WAIT)
        (message,) = got["Messages"]
        await queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return str(message["Body"])


async def test_a_taken_message_outlives_a_crash(sqs: ElasticMqServer) -> None:
    queue = await send(sqs.url, "kept")
    sqs.kill()
    assert not sqs.running
    await sqs.start()
    assert await receive(sqs.url, queue) == "kept"


async def test_it_goes_on_after_a_stop(sqs: ElasticMqServer) -> None:
    queue = await send(sqs.url, "kept")
    await sqs.stop()
    await sqs.start()
    assert await receive(sqs.url, queue) == "kept"


async def test_a_paused_server_answers_nobody(sqs: ElasticMqServer) -> None:
    sqs.pause()
    with pytest.raises(ReadTimeoutError):
        async with client("sqs", sqs.url, 0.5) as queues:
            await queues.list_queues()
    sqs.resume()
    assert await receive(sqs.url, await send(sqs.url, "again")) == "again"


async def test_a_topic_delivers_to_a_queue_until_a_crash(moto: MotoServer) -> None:
    await moto.start()
    async with client("sns", moto.url) as topics, client("sqs", moto.url) as queues:
        topic = (await topics.create_topic(Name="orders"))["TopicArn"]
        queue = (await queues.create_queue(QueueName="orders"))["QueueUrl"]
        of_queue = await queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        await topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=of_queue["Attributes"]["QueueArn"])
        await topics.publish(TopicArn=topic, Message="an order")
        assert json.loads(await receive(moto.url, queue))["Message"] == "an order"
        moto.kill()
        await moto.start()
        assert (await topics.list_topics())["Topics"] == []
