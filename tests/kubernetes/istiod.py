"""Istio's control plane beside a cluster for tests, and what it sends to the proxy of a pod."""

import queue
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc

from souk.kernel.addresses import LOOPBACK
from souk.mesh.envoy.messages import message_class
from souk.mesh.xds.exchange import METHOD
from souk.testing.engines import PATIENCE, engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered
from tests.kubernetes.cluster import Cluster, Manifest

ROUTES = "envoy.config.route.v3.RouteConfiguration"
CLUSTERS = "envoy.config.cluster.v3.Cluster"
LISTENERS = "envoy.config.listener.v3.Listener"
_REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
_RESPONSE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"
_TYPES = "type.googleapis.com/"


class Istiod(EngineServer):
    """istiod, which reads the resources of the API server. It injects nothing and issues no certificates here."""

    name = "istiod"

    def __init__(self, folder: Path, cluster: Cluster, *, ambient: bool = False) -> None:
        super().__init__(folder)
        self._ambient = ambient
        self._program = Path(engine_path("istio")).parent / "pilot-discovery"
        self._kubeconfig = cluster.kubeconfig
        self._grpc, self._http, self._monitoring = (f"{LOOPBACK}:{free_port()}" for _ in range(3))

    def environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.folder),
            "POD_NAMESPACE": "istio-system",
            "POD_NAME": "istiod-0",
            "ENABLE_CA_SERVER": "false",
            "ENABLE_LEADER_ELECTION": "false",
            "PILOT_ENABLE_AMBIENT": "true" if self._ambient else "false",
        }

    def command(self) -> Sequence[str]:
        return (
            *(str(self._program), "discovery", f"--kubeconfig={self._kubeconfig}", f"--grpcAddr={self._grpc}"),
            *(f"--httpAddr={self._http}", f"--monitoringAddr={self._monitoring}", "--httpsAddr=", "--ctrlz_port=0"),
            *("--secureGRPCAddr=", f"--meshConfig={self.folder / 'none.yaml'}"),
        )

    async def answers(self) -> bool:
        return await is_answered(f"http://{self._http}/ready")

    def sends(self, pod: Manifest, kind: str, *names: str, role: str = "sidecar") -> dict[str, Any]:
        """Asks for what the proxy of a pod gets of a kind of Envoy's resources: all, or those of these names. `role` is
        what the proxy is: a sidecar, or a waypoint."""
        about = pod["metadata"]
        request: Any = message_class(_REQUEST)(type_url=_TYPES + kind, resource_names_subscribe=names)
        host = f"{about['namespace']}.svc.cluster.local"
        request.node.id = f"{role}~{pod['status']['podIP']}~{about['name']}.{about['namespace']}~{host}"
        request.node.metadata.update(
            {
                "NAMESPACE": about["namespace"],
                "LABELS": about["labels"],
                "SERVICE_ACCOUNT": pod["spec"]["serviceAccountName"],
                "CLUSTER_ID": "Kubernetes",
            }
        )
        found = message_class(kind)
        return {one.name: found.FromString(one.resource.value) for one in self._first_answer(request).resources}

    def _first_answer(self, request: Any) -> Any:
        """Gives the first response on a stream of delta ADS that stays open until then."""
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        requests.put(request)
        with grpc.insecure_channel(self._grpc, options=[("grpc.max_receive_message_length", 1 << 26)]) as channel:
            stream = channel.stream_stream(
                METHOD,
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=message_class(_RESPONSE).FromString,
            )
            answers = stream(iter(requests.get, None), timeout=PATIENCE)
            try:
                return next(answers)
            finally:
                requests.put(None)
                answers.cancel()


def rules_of(listeners: Mapping[str, Any], chain: str = "") -> Iterator[Any]:
    """Gives the rules of access (RBAC) in the filters of all HTTP connections that listeners take, or of those whose
    chain of filters has a name that ends so."""
    manager = message_class("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager")
    rbac = message_class("envoy.extensions.filters.http.rbac.v3.RBAC")
    for listener in listeners.values():
        for found in listener.filter_chains:
            for one in found.filters if found.name.endswith(chain) else ():
                if one.typed_config.type_url == _TYPES + manager.DESCRIPTOR.full_name:
                    for each in manager.FromString(one.typed_config.value).http_filters:
                        if each.typed_config.type_url == _TYPES + rbac.DESCRIPTOR.full_name:
                            yield rbac.FromString(each.typed_config.value).rules
