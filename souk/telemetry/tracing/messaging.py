"""The attributes of spans about events, by OpenTelemetry's conventions for messaging."""

from souk.telemetry.tracing.span import AttributeValue

BY_CALL = "souk"
"""The messaging system of events that services bring each other by calls; a broker has a name of its own."""


def message_attributes(operation: str, destination: str, system: str = BY_CALL) -> dict[str, AttributeValue]:
    """Returns those that every such span has: what is done, with which type of event or topic, and by what."""
    return {
        "messaging.system": system,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
    }
