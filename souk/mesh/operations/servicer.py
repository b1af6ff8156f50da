"""Serves `soukapi.v1.Mesh`: what operators ask of the control plane of a fleet."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from soukapi.v1 import mesh_pb2 as pb
from soukapi.v1 import mesh_pb2_grpc

from souk.kernel.cancellation import carried_through
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, DomainError, SoukError
from souk.kernel.suggest import meant, unknown
from souk.mesh.control_plane import ControlPlane
from souk.mesh.identity.refusals import INSTANCE, SERVICE
from souk.mesh.operations.messages import rejected, status_message
from souk.mesh.operations.policy_file import PolicyFile
from souk.rpc.grpc.server import DispatchedHandlers
from souk.rpc.server.dispatcher import Context, Dispatcher
from souk.telemetry.logs import logger

CONTRACT: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["Mesh"]
PATIENCE = 10.0
"""Seconds for sidecars to take what an operator has changed."""

_log = logger("mesh")


class MeshServicer(mesh_pb2_grpc.MeshServicer):
    """Serves the operators of one control plane. Each change is logged with who wanted it, and goes on to its end when
    the operator's command is interrupted."""

    def __init__(self, plane: ControlPlane, file: PolicyFile) -> None:
        self._plane, self._file = plane, file

    async def GetMeshStatus(self, request: pb.GetMeshStatusRequest, context: Context) -> pb.GetMeshStatusResponse:
        """Gives the state of this moment."""
        return status_message(self._plane, self._file)

    @carried_through
    async def ReloadMeshPolicy(
        self, request: pb.ReloadMeshPolicyRequest, context: Context
    ) -> pb.ReloadMeshPolicyResponse:
        """Reads the policy file again, and applies it unless it is wrong or rejected."""
        try:
            change = await self._file.reload()
        except ConfigurationError as error:
            raise DomainError("CANNOT_BE_DONE", str(error)) from error
        refused = change.refused
        _log.info(
            "an operator had the policy read again",
            operator=request.operator,
            changed=change.changed,
            errors=0 if refused is None else len(refused.errors) or len(refused.rejections),
        )
        response = pb.ReloadMeshPolicyResponse(
            file=str(self._file.path), revision=self._plane.policy.revision, changed=change.changed,
            waiting=change.late, taken=sorted(self._plane.server.connected - set(change.late)),
        )  # fmt: skip
        if refused is not None:
            response.errors.extend(refused.errors)
            response.rejected.extend(rejected(refused.rejections))
        return response

    @carried_through
    async def RotateMeshRoot(self, request: pb.RotateMeshRootRequest, context: Context) -> pb.RotateMeshRootResponse:
        """Begins a rotation of the root."""
        await self._changed(self._plane.authority.rotate_root)
        _log.warning("an operator began a rotation of the root", operator=request.operator)
        await self._plane.refresh()
        return pb.RotateMeshRootResponse(rotation=self._plane.identities().rotation)

    @carried_through
    async def RefuseWorkload(self, request: pb.RefuseWorkloadRequest, context: Context) -> pb.RefuseWorkloadResponse:
        """Refuses a service or an instance; answers when the connected sidecars know of it."""
        kind, name = self._known(request.service, request.instance)
        await self._changed(lambda: self._plane.authority.refuse(kind, name, request.why))
        _log.warning(
            "an operator refused a workload", kind=kind, workload=name, why=request.why, operator=request.operator
        )
        return pb.RefuseWorkloadResponse(waiting=await self._spread())

    @carried_through
    async def AdmitWorkload(self, request: pb.AdmitWorkloadRequest, context: Context) -> pb.AdmitWorkloadResponse:
        """Ends a refusal; answers when the connected sidecars know of it."""
        kind, name = (INSTANCE, request.instance) if request.instance else (SERVICE, request.service)
        refused = [(one.kind, one.name) for one in self._plane.authority.refusals]
        if (kind, name) not in refused:
            others = [one for _, one in refused]
            what = meant(name, others) if others else "; nobody is"
            raise DomainError("UNKNOWN_WORKLOAD", f"the {kind} {name!r} is not refused{what}")
        await self._changed(lambda: self._plane.authority.admit(kind, name))
        _log.warning("an operator admitted a workload", kind=kind, workload=name, operator=request.operator)
        return pb.AdmitWorkloadResponse(waiting=await self._spread())

    def _known(self, service: str, instance: str) -> tuple[str, str]:
        _require(service, self._plane.services, "service")
        if not instance:
            return SERVICE, service
        own = [name for name, workload in self._plane.workloads.items() if workload.service == service]
        _require(instance, own, f"instance of {service}")
        return INSTANCE, instance

    async def _changed(self, change: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(change)
        except SoukError as error:
            raise DomainError("CANNOT_BE_DONE", str(error)) from error

    async def _spread(self) -> Sequence[str]:
        await self._plane.refresh()
        return await self._plane.settled(PATIENCE)


def operations(plane: ControlPlane, file: PolicyFile, clock: Clock) -> grpc.GenericRpcHandler:
    """Makes the handler of the operators' methods, for the control plane's socket."""
    dispatcher = Dispatcher(None, clock)
    dispatcher.add(MeshServicer(plane, file), CONTRACT)
    return DispatchedHandlers(dispatcher)


def _require(name: str, known: Iterable[str], what: str) -> None:
    names = list(known)
    if name not in names:
        raise DomainError("UNKNOWN_WORKLOAD", unknown(what, name, names))
