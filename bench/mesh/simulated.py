"""Sidecars without a proxy: each asks the control plane as Envoy does, on a connection of its own, and takes all.

python -m bench.mesh.simulated SOCKET SERVICE:FIRST:COUNT...      runs until its standard input ends
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop

from bench.mesh.plane import SECRET
from souk.kernel.addresses import grpc_target, unix_address
from souk.mesh.envoy.bootstrap import TOKEN
from souk.mesh.envoy.clusters import OWN_CERTIFICATE, TRUSTED_ROOTS
from souk.mesh.envoy.messages import message_class
from souk.mesh.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES
from souk.mesh.envoy.resource import SECRET as SECRETS
from souk.mesh.workloads import workload_token
from souk.mesh.xds.exchange import METHOD

_REQUEST = message_class("envoy.service.discovery.v3.DeltaDiscoveryRequest")
_RESPONSE = message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse")
_CLUSTER = message_class("envoy.config.cluster.v3.Cluster")
# A connection for each sidecar, where gRPC would share one.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


class SimulatedSidecar:
    """The stream of one sidecar: what it asks for follows from what it gets."""

    def __init__(self, target: str, service: str, instance: str) -> None:
        self._target, self._service, self._instance = target, service, instance
        self._wanted: dict[str, set[str]] = {}

    async def run(self) -> None:
        """Takes what it is sent until the control plane ends the stream."""
        token = workload_token(SECRET, self._service, self._instance)
        async with grpc.aio.insecure_channel(self._target, options=_OPTIONS) as channel:
            method: Any = channel.stream_stream(METHOD)
            self._stream = method(metadata=((TOKEN, token),), wait_for_ready=True)
            await self._write(type_url=CLUSTER, node=self._node())
            await self._write(type_url=LISTENER)
            while isinstance(data := await self._stream.read(), bytes):
                response: Any = _RESPONSE.FromString(data)
                await self._write(type_url=response.type_url, response_nonce=response.nonce)
                await self._follow(response)

    def _node(self) -> dict[str, Any]:
        metadata = {"outbound": f"unix:/run/{self._instance}.out.sock"}
        if self._service != "gateway":
            metadata["inbound"] = f"unix:/run/{self._instance}.in.sock"
        return {"id": self._instance, "cluster": self._service, "metadata": metadata}

    async def _follow(self, response: Any) -> None:
        if response.type_url == CLUSTER:
            found = [_CLUSTER.FromString(each.resource.value) for each in response.resources]
            await self._want(ENDPOINTS, {_endpoints(each) for each in found} - {""})
            await self._want(SECRETS, {OWN_CERTIFICATE, TRUSTED_ROOTS})
        elif response.type_url == LISTENER:
            await self._want(ROUTES, {each.name for each in response.resources})

    async def _want(self, type_url: str, names: set[str]) -> None:
        known = self._wanted.setdefault(type_url, set())
        if new := names - known:
            known |= new
            await self._write(type_url=type_url, resource_names_subscribe=sorted(new))

    async def _write(self, **content: Any) -> None:
        await self._stream.write(_REQUEST(**content).SerializeToString())


def _endpoints(cluster: Any) -> str:
    if not cluster.HasField("eds_cluster_config"):
        return ""
    return str(cluster.eds_cluster_config.service_name or cluster.name)


async def _run(socket: Path, *wanted: str) -> None:
    target = grpc_target(unix_address(socket))
    tasks = []
    for each in wanted:
        service, first, count = each.split(":")
        names = [f"{service}-{number}" for number in range(int(first), int(first) + int(count))]
        tasks += [asyncio.create_task(SimulatedSidecar(target, service, name).run()) for name in names]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    uvloop.run(_run(Path(sys.argv[1]), *sys.argv[2:]))
