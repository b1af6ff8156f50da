"""Errors of Kafka's client in the port's words."""

from confluent_kafka import KafkaError

from souk.events.broker import BrokerUnavailable

UNKNOWN_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_ID})
"""The codes that say that a topic does not exist."""

_REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)
_FORBIDDEN = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_CAUSES = _REFUSED | {KafkaError._SSL, KafkaError._RESOLVE}
"""What explains better than a time-out why the broker does not answer."""


class LastError:
    """Remembers why connections of a client failed: the client itself only says that a request took too long."""

    def __init__(self) -> None:
        self._error: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Takes an error; this is the client's `error_cb`."""
        if self._error is None or error.code() in _CAUSES or self._error.code() not in _CAUSES:
            self._error = error

    def clear(self) -> None:
        """Forgets it, after something succeeded."""
        self._error = None

    @property
    def refused(self) -> bool:
        """Whether the broker refuses the credentials, so that waiting is of no use."""
        return self._error is not None and self._error.code() in _REFUSED

    def explain(self, error: KafkaError | None, servers: str, topic: str = "") -> BrokerUnavailable:
        """Returns what to raise for an error of a request, or for None when it took too long."""
        if error is None or (error.code() < 0 and self._error is not None and self._error.code() in _CAUSES):
            error = self._error or error
        return BrokerUnavailable(f"Kafka at {servers}: {_reason(error, topic)}")


def _reason(error: KafkaError | None, topic: str) -> str:
    if error is None:
        return "it does not answer"
    if error.code() in UNKNOWN_TOPIC:
        return f"the topic {topic!r} does not exist; it must be declared"
    if error.code() in _REFUSED:
        return f"it refuses the credentials: {error.str()}"
    if error.code() in _FORBIDDEN:
        return f"the credentials do not permit this: {error.str()}"
    return f"it cannot be reached, or does not answer: {error.str()}"
