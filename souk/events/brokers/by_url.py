"""Opens the broker that a URL names."""

import importlib
from urllib.parse import urlsplit

from souk.events.broker import Broker
from souk.kernel.errors import ConfigurationError

_ADAPTERS = {
    "redis": "redis_streams.broker",
    "rediss": "redis_streams.broker",
    "unix": "redis_streams.broker",
    "kafka": "kafka.open",
    "amqp": "rabbitmq.open",
    "amqps": "rabbitmq.open",
    "sqs": "sqs.open",
}
"""The module of each URL's scheme."""


def open_broker(url: str) -> Broker:
    """Opens the broker at `url` without connecting yet.

    `redis://`, `rediss://` or `unix://` is Redis Streams, `kafka://` Kafka, `amqp://` or `amqps://` RabbitMQ, `sqs://`
    SQS with SNS. Raises ConfigurationError for another scheme, for a URL that the adapter cannot read, and when the
    adapter's client is not installed.
    """
    scheme = urlsplit(url).scheme
    if scheme not in _ADAPTERS:
        known = ", ".join(f"{name}://" for name in ("redis", "kafka", "amqp", "sqs"))
        raise ConfigurationError(f"a broker's URL begins with one of {known}; this one begins with {scheme[:20]!r}")
    module = importlib.import_module(f"souk.events.brokers.{_ADAPTERS[scheme]}")
    opened: Broker = module.open_broker(url)
    return opened
