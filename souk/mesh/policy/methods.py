"""All methods that a service takes calls for: those of its contract, and those that the platform serves beside them."""

from collections.abc import Iterator, Mapping

from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2

from souk.descriptors.contract import Method, contract_of
from souk.runtime.calls.channels import EVENT_SINK, EVENT_SOURCE
from souk.runtime.service import Service

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]

DELIVER = "/soukapi.v1.EventSink/Deliver"
PARK = "/soukapi.v1.EventSource/Park"
READ_HISTORY = "/soukapi.v1.EventSource/ReadHistory"


def methods_of(service: Service) -> Mapping[str, Method]:
    """Returns the methods of a service's contract, and those by which it gets, parks and reads out events, by name.

    Those of `grpc.health.v1.Health`, which every process has, are not among them: `health_methods` gives them.
    """
    return {name: method for contract in _contracts(service) for name, method in contract_of(contract).methods.items()}


def health_methods() -> Mapping[str, Method]:
    """Returns the methods by which a process is asked whether it is up, by full name."""
    return contract_of(HEALTH).methods


def is_harmless(method: Method) -> bool:
    """Returns whether a call may be tried again by the contract: it is idempotent, or its request carries a key."""
    return method.unary and (method.idempotent or bool(method.policy.idempotency_field))


def _contracts(service: Service) -> Iterator[ServiceDescriptor]:
    yield service.contract
    if service.subscriptions:
        yield EVENT_SINK
    if service.migrations is not None:
        yield EVENT_SOURCE
