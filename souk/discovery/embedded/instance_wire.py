"""Instances as the registry's contract carries them."""

from soukapi.v1.registry_pb2 import RegisteredInstance

from souk.discovery.registry import Instance


def to_wire(instance: Instance) -> RegisteredInstance:
    """The instance as a message."""
    return RegisteredInstance(
        service=instance.service,
        id=instance.id,
        address=instance.address,
        version=instance.version,
        zone=instance.zone,
        weight=instance.weight,
        metadata=dict(instance.metadata),
    )


def from_wire(message: RegisteredInstance) -> Instance:
    """The instance in a message."""
    return Instance(
        service=message.service,
        id=message.id,
        address=message.address,
        version=message.version,
        zone=message.zone,
        weight=message.weight,
        metadata=dict(message.metadata),
    )
