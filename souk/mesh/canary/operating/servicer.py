"""Serves what operators ask about canaries, on the control plane's private socket."""

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from soukapi.v1 import canary_pb2 as pb
from soukapi.v1 import canary_pb2_grpc

from souk.kernel.cancellation import carried_through
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, DomainError
from souk.mesh.canary.steering.controller import CANNOT_BE_DONE, CanaryController
from souk.mesh.canary.steering.messages import canary_message
from souk.mesh.canary.steering.plan_messages import plan_of
from souk.mesh.canary.steering.run import CanaryRun
from souk.rpc.grpc.server import DispatchedHandlers
from souk.rpc.server.dispatcher import Context, Dispatcher
from souk.telemetry.logs import logger

CONTRACT: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["Canaries"]

_log = logger("souk.canary")


class CanaryServicer(canary_pb2_grpc.CanariesServicer):
    """Serves the operators of one controller. Each change is logged with who wanted it, and goes on to its end when the
    operator's command is interrupted: it may be recorded already."""

    def __init__(self, controller: CanaryController) -> None:
        self._controller = controller

    @carried_through
    async def StartCanary(self, request: pb.StartCanaryRequest, context: Context) -> pb.StartCanaryResponse:
        """Begins a canary."""
        try:
            plan = plan_of(request.plan)
        except ConfigurationError as error:
            raise DomainError(CANNOT_BE_DONE, str(error)) from None
        run = await self._controller.start(plan, request.operator)
        release = plan.release
        _log.info(
            "an operator began a canary", service=release.service, version=release.version, operator=request.operator
        )
        return pb.StartCanaryResponse(canary=_shown(run))

    async def ListCanaries(self, request: pb.ListCanariesRequest, context: Context) -> pb.ListCanariesResponse:
        """Gives the last canary of each service."""
        runs = self._controller.runs()
        wanted = [one for one in runs if request.service in ("", one.record.plan.release.service)]
        return pb.ListCanariesResponse(canaries=[_shown(run) for run in wanted])

    @carried_through
    async def SteerCanary(self, request: pb.SteerCanaryRequest, context: Context) -> pb.SteerCanaryResponse:
        """Carries out what an operator decides."""
        run = await self._controller.steer(request.service, request.action, request.operator, request.why)
        _log.info("an operator steered a canary", service=request.service, action=request.action)
        return pb.SteerCanaryResponse(canary=_shown(run))


def canary_handlers(controller: CanaryController, clock: Clock) -> grpc.GenericRpcHandler:
    """Makes the handler of the operators' methods, for the control plane's socket."""
    dispatcher = Dispatcher(None, clock)
    dispatcher.add(CanaryServicer(controller), CONTRACT)
    return DispatchedHandlers(dispatcher)


def _shown(run: CanaryRun) -> pb.Canary:
    message = canary_message(run.record, run.watch.figures(), run.trouble)
    for name in message.plan.settings:
        message.plan.settings[name] = ""  # it may be a password
    return message
