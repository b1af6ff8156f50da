"""A resource: one named message of Envoy's configuration, serialised once, with a version that its bytes give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

from souk.mesh.envoy.messages import TYPE_URL, build, message_class, serialise

CLUSTER = f"{TYPE_URL}envoy.config.cluster.v3.Cluster"
ENDPOINTS = f"{TYPE_URL}envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = f"{TYPE_URL}envoy.config.listener.v3.Listener"
ROUTES = f"{TYPE_URL}envoy.config.route.v3.RouteConfiguration"
SECRET = f"{TYPE_URL}envoy.extensions.transport_sockets.tls.v3.Secret"

_RESPONSE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"
_VERSION_BYTES = 10


@dataclass(frozen=True)
class Resource:
    """One resource. Many sidecars may be sent the same one.

    `version` is a hash of `body`, the serialised message: a control plane that was started anew gives the same
    versions. `awaits` are the resources, by type and name, that a sidecar waits for once more whenever it gets a
    new version of this one.
    """

    type_url: str
    name: str
    body: bytes = field(repr=False)
    version: str
    awaits: tuple[tuple[str, str], ...] = ()

    @cached_property
    def entry(self) -> bytes:
        """The resource as one entry of a response. Serialised messages that stand one after the other are merged by
        who reads them, so that a response is its head and its entries."""
        content = {"name": self.name, "version": self.version}
        response: Any = message_class(_RESPONSE)()
        entry = response.resources.add(**content)
        entry.resource.type_url, entry.resource.value = self.type_url, self.body
        return bytes(response.SerializeToString())


def resource(type_url: str, content: Mapping[str, Any]) -> Resource:
    """Builds a resource of one of the five types from the dict that its JSON would be, with or without its `@type`.

    A cluster whose endpoints come by discovery awaits them (envoyproxy/envoy#13009). Raises ConfigurationError when the
    content is not of that type, or has no name.
    """
    fields = {name: value for name, value in content.items() if (name, value) != ("@type", type_url)}
    message: Any = build(type_url.removeprefix(TYPE_URL), fields)
    body = serialise(message)
    name = message.cluster_name if type_url == ENDPOINTS else message.name
    version = blake2b(body, digest_size=_VERSION_BYTES).hexdigest()
    return Resource(type_url, name, body, version, _awaited(type_url, message))


def _awaited(type_url: str, message: Any) -> tuple[tuple[str, str], ...]:
    if type_url != CLUSTER or not message.HasField("eds_cluster_config"):
        return ()
    return ((ENDPOINTS, message.eds_cluster_config.service_name or message.name),)
