"""The attributes of spans about events, by OpenTelemetry's conventions for messaging."""

from souk.telemetry.tracing.span import AttributeValue


def message_attributes(operation: str, destination: str) -> dict[str, AttributeValue]:
    """Returns those that every such span has: what is done, and with which type of event or topic."""
    return {
        "messaging.system": "souk",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
    }
