"""Requests and responses of delta ADS, in our own words; and their form on the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from souk.kernel.errors import SoukError
from souk.mesh.envoy.messages import message_class
from souk.mesh.envoy.resource import Resource

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
ALL = "*"
"""The name by which a sidecar asks for all resources of a type."""
_REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
_RESPONSE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"


class SidecarRefused(SoukError):
    """A sidecar's stream is not served, or not any more; `code` is the gRPC status that it ends with."""

    def __init__(self, detail: str, code: str = "INVALID_ARGUMENT") -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """What a sidecar says of one type: what it wants or wants no longer, and whether it took a response.

    `nonce` is that of the response it has taken, or rejected if there is an `error`; empty when it speaks of none.
    `initial_versions` are what it has from an earlier stream, in the first request of a type.
    """

    type_url: str
    subscribe: frozenset[str] = frozenset()
    unsubscribe: frozenset[str] = frozenset()
    initial_versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class DeltaResponse:
    """What a sidecar is sent of one type: resources that are new to it, and names that do not exist any more."""

    type_url: str
    nonce: str
    resources: tuple[Resource, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeltaNode:
    """Who a sidecar says it is: the instance beside it, and that one's service; and what else it says of itself."""

    id: str
    cluster: str
    metadata: Mapping[str, str] = field(default_factory=dict)


def decode(data: bytes) -> tuple[DeltaNode, DeltaRequest]:
    """Reads a request and the node in it, which may be empty in all but the first. Raises DecodeError."""
    message: Any = message_class(_REQUEST).FromString(data)
    request = DeltaRequest(
        message.type_url,
        frozenset(message.resource_names_subscribe),
        frozenset(message.resource_names_unsubscribe),
        dict(message.initial_resource_versions),
        message.response_nonce,
        message.error_detail.message if message.HasField("error_detail") else None,
    )
    metadata = {name: value.string_value for name, value in message.node.metadata.fields.items()}
    return DeltaNode(message.node.id, message.node.cluster, metadata), request


def encode(response: DeltaResponse) -> bytes:
    """Serialises a response; its resources are serialised already."""
    head: Any = message_class(_RESPONSE)(
        type_url=response.type_url, nonce=response.nonce, removed_resources=response.removed
    )
    return b"".join((head.SerializeToString(), *(each.entry for each in response.resources)))
