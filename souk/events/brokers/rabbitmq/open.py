"""Opens the adapter for RabbitMQ; its client is an optional extra."""

from souk.events.broker import Broker
from souk.events.brokers.rabbitmq.settings import settings_of
from souk.kernel.errors import ConfigurationError


def open_broker(url: str) -> Broker:
    """Returns the broker at amqp://host:port, as `settings.py` describes; it connects when it is first used.

    Raises ConfigurationError for an invalid URL, and when the client is not installed.
    """
    settings = settings_of(url)
    try:
        # Imported here, because it is an optional extra.
        from souk.events.brokers.rabbitmq.broker import RabbitBroker
    except ModuleNotFoundError as error:
        if error.name != "aiormq":
            raise
        raise ConfigurationError(
            "a broker at amqp: needs a client that is not installed: pip install 'souk-platform[rabbitmq]'"
        ) from None
    return RabbitBroker(settings)
