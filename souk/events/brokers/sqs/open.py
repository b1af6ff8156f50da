"""Opens the adapter for SQS; its client is an optional extra."""

from souk.events.broker import Broker
from souk.events.brokers.sqs.settings import settings_of
from souk.kernel.errors import ConfigurationError


def open_broker(url: str) -> Broker:
    """Returns the broker at sqs://, as `settings.py` describes; it connects when it is first used.

    Raises ConfigurationError for an invalid URL, for AWS without a region, and when the client is not installed.
    """
    settings = settings_of(url)
    try:
        # Imported here, because it is an optional extra.
        from souk.events.brokers.sqs.broker import SqsBroker
        from souk.events.brokers.sqs.link import require_region
    except ModuleNotFoundError as error:
        if error.name != "aiobotocore":
            raise
        raise ConfigurationError(
            "a broker at sqs: needs a client that is not installed: pip install 'souk-platform[sqs]'"
        ) from None
    require_region(settings)
    return SqsBroker(settings)
