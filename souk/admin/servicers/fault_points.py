"""The servicers of `soukapi.v1.FaultPoints`: a process arms its own fault points, a supervisor passes calls on.

A system without demo data has none: it answers that faults are not allowed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from google.protobuf.descriptor import ServiceDescriptor
from soukapi.v1 import faults_pb2 as pb
from soukapi.v1 import faults_pb2_grpc

from souk.admin.process_status import View
from souk.admin.servicers.hosts import ask_every, ask_hosts
from souk.faults import CODES, CallFault, Faults
from souk.kernel.clock import MICROSECONDS, Clock, SystemClock
from souk.kernel.errors import DomainError
from souk.rpc.server.dispatcher import Context
from souk.telemetry.logs import logger

CONTRACT: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["FaultPoints"]
PATIENCE = 5.0
SOON = 0.2
"""Seconds after which a process dies that is to die at once: its answer must leave before."""
LONGEST_DELAY, LONGEST_FAULT = 60.0, 600.0
_NOT_ALLOWED = "faults are not allowed here: only in a system with demo data"
_log = logger("control")


class ProcessFaultPoints(faults_pb2_grpc.FaultPointsServicer):
    """Arms the points of a process, `instance`; `points` are their names by service. None as `faults`: not allowed."""

    def __init__(
        self, instance: str, faults: Faults | None, points: Mapping[str, Sequence[str]], clock: Clock | None = None
    ) -> None:
        self._instance, self._faults, self._points = instance, faults, points
        self._clock = clock or SystemClock()

    async def ListFaultPoints(self, request: pb.ListFaultPointsRequest, context: Context) -> pb.ListFaultPointsResponse:
        """Lists the points; for each service first the one that is empty, which is at once."""
        if self._faults is None:
            return pb.ListFaultPointsResponse()
        response = pb.ListFaultPointsResponse(allowed=True)
        for service, names in self._points.items():
            for name in ("", *names):
                response.points.add(service=service, name=name, armed=name in self._faults.armed)
        for service, fault in (*self._faults.of_calls.items(), *reversed(self._faults.past)):
            response.injected.append(self._injected(service, fault))
        return response

    async def ArmFaultPoint(self, request: pb.ArmFaultPointRequest, context: Context) -> pb.ArmFaultPointResponse:
        """Arms a point of this process."""
        if self._faults is None:
            raise DomainError("CANNOT_BE_DONE", _NOT_ALLOWED)
        if request.service not in self._points or request.name not in ("", *self._points[request.service]):
            raise DomainError("CANNOT_BE_DONE", f"{request.service} has no fault point {request.name!r}")
        _log.warning("an operator armed a fault", point=request.name or "at once", operator=request.operator)
        if request.name:
            self._faults.arm(request.name)
        else:
            asyncio.get_running_loop().call_later(SOON, self._faults.strike)
        return pb.ArmFaultPointResponse(process=self._instance)

    async def InjectCallFault(self, request: pb.InjectCallFaultRequest, context: Context) -> pb.InjectCallFaultResponse:
        """Has calls of a service in this process go wrong, or ends that."""
        if self._faults is None:
            raise DomainError("CANNOT_BE_DONE", _NOT_ALLOWED)
        if wrong := self._wrong(request):
            raise DomainError("CANNOT_BE_DONE", wrong)
        about = {"service": request.service, "operator": request.operator, "seconds": request.seconds}
        _log.warning(
            "an operator injected a fault", delay=request.delay, code=request.code, share=request.share, **about
        )
        now = self._clock.now()
        if request.seconds:
            ends, until = now + round(request.seconds * MICROSECONDS), self._clock.monotonic() + request.seconds
            what = request.delay, request.code, request.share, request.operator
            self._faults.inject(request.service, CallFault(*what, now, ends, until))
        else:
            self._faults.end(request.service, now)
        return pb.InjectCallFaultResponse(processes=[self._instance])

    def _wrong(self, request: pb.InjectCallFaultRequest) -> str:
        """Says what is wrong with a request; empty if nothing is."""
        if request.service not in self._points:
            return f"there is no service {request.service!r} here"
        if not 0 <= request.seconds <= LONGEST_FAULT:
            return f"a fault lasts for at most {LONGEST_FAULT:g} seconds"
        if not request.seconds:
            return ""
        if not 0 <= request.delay <= LONGEST_DELAY:
            return f"a call waits for at most {LONGEST_DELAY:g} seconds"
        if request.code and request.code not in CODES:
            return f"{request.code!r} is none of {', '.join(CODES)}"
        if not request.delay and not request.code:
            return "give a delay, or a status with which calls fail, or both"
        return "" if 0 < request.share <= 1 else "the share must be above 0 and at most 1"

    def _injected(self, service: str, fault: CallFault) -> pb.InjectedCallFault:
        shown = pb.InjectedCallFault(service=service, process=self._instance, operator=fault.operator)
        shown.delay, shown.code, shown.share = fault.delay, fault.code, fault.share
        shown.came, shown.hit, shown.over = fault.came, fault.hit, self._clock.monotonic() >= fault.until
        shown.since.FromMicroseconds(fault.began)
        shown.until.FromMicroseconds(fault.ends)
        return shown


class FleetFaultPoints(faults_pb2_grpc.FaultPointsServicer):
    """Passes each call on to one process of every service, or of the one that is meant."""

    def __init__(self, processes: Callable[[], Sequence[View]]) -> None:
        self._processes = processes

    async def ListFaultPoints(self, request: pb.ListFaultPointsRequest, context: Context) -> pb.ListFaultPointsResponse:
        """Lists the points of all services."""
        response = pb.ListFaultPointsResponse()
        stub_of = faults_pb2_grpc.FaultPointsStub
        found = await ask_hosts(
            self._processes(), stub_of, lambda stub: stub.ListFaultPoints(request, timeout=PATIENCE), ""
        )
        for service, answer in found:
            if answer is None:
                response.silent.append(service)
            else:
                response.points.extend(answer.points)
                response.allowed = response.allowed or answer.allowed
        everybody = await ask_every(
            self._processes(), stub_of, lambda stub: stub.ListFaultPoints(request, timeout=PATIENCE)
        )
        response.injected.extend(one for _, answer in everybody if answer is not None for one in answer.injected)
        return response

    async def ArmFaultPoint(self, request: pb.ArmFaultPointRequest, context: Context) -> pb.ArmFaultPointResponse:
        """Arms a point of one process of the service."""
        hosts = [view for view in self._processes() if view.service == request.service]
        stub_of = faults_pb2_grpc.FaultPointsStub
        found = await ask_hosts(hosts, stub_of, lambda stub: stub.ArmFaultPoint(request, timeout=PATIENCE), "")
        for _, answer in found:
            if answer is not None:
                armed: pb.ArmFaultPointResponse = answer
                return armed
        raise DomainError("CANNOT_BE_DONE", f"no process of {request.service} answers")

    async def InjectCallFault(self, request: pb.InjectCallFaultRequest, context: Context) -> pb.InjectCallFaultResponse:
        """Has calls of a service go wrong in all of its processes, or ends that."""
        hosts = [view for view in self._processes() if view.service == request.service]
        found = await ask_every(
            hosts, faults_pb2_grpc.FaultPointsStub, lambda stub: stub.InjectCallFault(request, timeout=PATIENCE)
        )
        done = [name for name, answer in found if answer is not None]
        if not done:
            raise DomainError("CANNOT_BE_DONE", f"no process of {request.service or 'this service'} answers")
        return pb.InjectCallFaultResponse(processes=done, silent=[name for name, answer in found if answer is None])
