"""Opens the adapter for Kafka; its client is an optional extra."""

from souk.events.broker import Broker
from souk.events.brokers.kafka.settings import settings_of
from souk.kernel.errors import ConfigurationError


def open_broker(url: str) -> Broker:
    """Returns the broker at kafka://host:port, as `settings.py` describes; it connects when it is first used.

    Raises ConfigurationError for an invalid URL, and when the client is not installed.
    """
    settings = settings_of(url)
    try:
        # Imported here, because it is an optional extra.
        from souk.events.brokers.kafka.broker import KafkaBroker
    except ModuleNotFoundError as error:
        if error.name != "confluent_kafka":
            raise
        raise ConfigurationError(
            "a broker at kafka: needs a client that is not installed: pip install 'souk-platform[kafka]'"
        ) from None
    return KafkaBroker(settings)
