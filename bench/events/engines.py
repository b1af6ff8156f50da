"""The brokers that are on this machine, and a PostgreSQL as a fleet runs it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from souk.testing.fleet_data import FleetData
from souk.testing.servers.elasticmq import ElasticMqServer
from souk.testing.servers.engine_server import EngineServer
from souk.testing.servers.kafka import KafkaServer
from souk.testing.servers.rabbitmq import RabbitMqServer
from souk.testing.servers.valkey import DurableValkeyServer


@dataclass(frozen=True, slots=True)
class BrokerKind:
    """A broker to measure: its name, a short one for files, how its server is made, its URL, and its client's name."""

    name: str
    prefix: str
    server: Callable[[Path], EngineServer]
    url: Callable[[EngineServer], str]
    client: str
    most: int = 9_000
    """How many events a round has at most: a slow broker would take minutes."""


def _valkey(folder: Path) -> EngineServer:
    return DurableValkeyServer(folder, {"maxmemory": "1gb"})


def _url(server: EngineServer) -> str:
    return str(getattr(server, "url", ""))


def _sqs_url(server: EngineServer) -> str:
    return f"{_url(server).replace('http:', 'sqs:')}?wait=1"


KINDS = (
    BrokerKind("Redis Streams", "redis", _valkey, _url, "redis-py"),
    BrokerKind(
        "Kafka", "kafka", KafkaServer, lambda server: f"kafka://{getattr(server, 'address', '')}", "confluent-kafka"
    ),
    BrokerKind("RabbitMQ", "rabbitmq", RabbitMqServer, _url, "aio-pika"),
    BrokerKind("SQS", "sqs", ElasticMqServer, _sqs_url, "aiobotocore", most=1_500),
)


@contextmanager
def running(kind: BrokerKind, folder: Path) -> Iterator[str]:
    """Runs a broker inside the block; gives its URL. Raises LookupError, with what to do, when it is not here."""
    try:
        server = kind.server(folder)
    except pytest.skip.Exception as error:
        raise LookupError(str(error)) from error
    with server:
        asyncio.run(server.start())
        yield kind.url(server)


@contextmanager
def postgres(folder: Path, names: list[str]) -> Iterator[dict[str, str]]:
    """Runs a fleet's PostgreSQL inside the block; gives the URLs of its databases. It flushes every commit."""
    # PostgreSQL does not run as root: its user must be able to pass through the folders above.
    for each in (folder, folder.parent):
        each.chmod(0o711)
    data = folder / "data"
    data.mkdir(mode=0o700)
    kept = FleetData(data)
    try:
        kept.start(names)
        yield kept.urls
    finally:
        kept.stop()
