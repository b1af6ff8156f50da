"""The servicer of a supervisor's control socket: `soukapi.v1.Fleet`."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf.descriptor import ServiceDescriptor
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.applications import Applications
from souk.admin.breaker_overrides import BreakerOverrides
from souk.admin.client import ask_all, status
from souk.admin.logs.records import LEVELS
from souk.admin.logs.search import Logs, NamedLog, logs_below
from souk.admin.logs.wanted import LogFilter
from souk.admin.messages import process
from souk.admin.process_status import NO_LOG, SYSTEM, Supervised, View
from souk.admin.routes_reload import reload_routes
from souk.admin.servicers import accounts, fault_points, parked_work, projections, records, sagas, versions
from souk.admin.servicers.accounts import FleetAccounts
from souk.admin.servicers.fault_points import FleetFaultPoints
from souk.admin.servicers.parked_work import FleetParkedWork
from souk.admin.servicers.projections import FleetProjections
from souk.admin.servicers.records import FleetRecords
from souk.admin.servicers.sagas import FleetSagas
from souk.admin.servicers.versions import FleetVersions, VersionedFleet
from souk.admin.unix_socket import serving
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, DomainError, InvalidArgument, Violation
from souk.kernel.suggest import unknown
from souk.rpc.server.dispatcher import Context
from souk.telemetry.logs import logger

CONTRACT: ServiceDescriptor = fleet_pb2.DESCRIPTOR.services_by_name["Fleet"]
FOLLOW_EVERY = 0.2
TRACE_ID = re.compile("[0-9a-f]{32}")

Work: TypeAlias = Coroutine[Any, Any, None]

_log = logger("control")


class FleetControl(fleet_pb2_grpc.FleetServicer):
    """Serves `soukapi.v1.Fleet`. An operation that has begun goes on when its client disconnects.

    `applications` are those that have joined the system, where some may.
    """

    def __init__(self, fleet: Supervised, applications: Applications | None = None) -> None:
        self._fleet, self._applications = fleet, applications
        self._overrides = BreakerOverrides(fleet)
        self._works: set[asyncio.Task[None]] = set()

    async def ListProcesses(
        self, request: fleet_pb2.ListProcessesRequest, context: Context
    ) -> fleet_pb2.ListProcessesResponse:
        """Lists every process, with its own status if it answers."""
        joined = () if self._applications is None else await self._applications.processes()
        answers = await ask_all(self._fleet.processes(), status)
        # In a thread: reading a process's memory from the kernel takes long, as the kernel goes through all of it.
        found = await asyncio.to_thread(_processes, answers)
        found.processes.extend(joined)
        return found

    async def ScaleService(
        self, request: fleet_pb2.ScaleServiceRequest, context: Context
    ) -> fleet_pb2.ScaleServiceResponse:
        """Sets the number of a service's processes; returns when new ones are ready, or the surplus has drained."""
        if request.replicas < 1:
            raise InvalidArgument([Violation("replicas", "must be at least 1; `souk stop` stops a service")])
        await self._do(request.service, self._fleet.scale(request.service, request.replicas))
        return fleet_pb2.ScaleServiceResponse()

    async def RestartService(
        self, request: fleet_pb2.RestartServiceRequest, context: Context
    ) -> AsyncIterator[fleet_pb2.RestartServiceResponse]:
        """Replaces a service's processes one by one, and sends a line for each step."""
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        work = self._begin(self._fleet.restart(request.service, lines.put_nowait))
        work.add_done_callback(lambda ended: lines.put_nowait(None))
        while (line := await lines.get()) is not None:
            yield fleet_pb2.RestartServiceResponse(line=line)
        with self._refusals(request.service):
            await work

    async def StopService(
        self, request: fleet_pb2.StopServiceRequest, context: Context
    ) -> fleet_pb2.StopServiceResponse:
        """Drains and ends a service's processes."""
        await self._do(request.service, self._fleet.stop(request.service))
        return fleet_pb2.StopServiceResponse()

    async def StartService(
        self, request: fleet_pb2.StartServiceRequest, context: Context
    ) -> fleet_pb2.StartServiceResponse:
        """Starts a service that was stopped; returns when it is ready."""
        await self._do(request.service, self._fleet.start(request.service))
        return fleet_pb2.StartServiceResponse()

    async def ReadLogs(
        self, request: fleet_pb2.ReadLogsRequest, context: Context
    ) -> AsyncIterator[fleet_pb2.ReadLogsResponse]:
        """Sends the last lines that are wanted of the processes' logs, and with `follow` those that come later."""
        logs = Logs(filter_of(request))
        try:
            found = await asyncio.to_thread(logs.search, self._written_by(request.service), request.lines)
            if found.more:
                yield fleet_pb2.ReadLogsResponse(more=True)
            for record in found.records:
                yield fleet_pb2.ReadLogsResponse(instance=record.instance, line=record.line)
            while request.follow:
                await asyncio.sleep(FOLLOW_EVERY)
                for record in await asyncio.to_thread(logs.further, self._written_by(request.service)):
                    yield fleet_pb2.ReadLogsResponse(instance=record.instance, line=record.line)
        finally:
            logs.close()

    async def ListBreakers(
        self, request: fleet_pb2.ListBreakersRequest, context: Context
    ) -> fleet_pb2.ListBreakersResponse:
        """Lists the breakers of every process."""
        return await self._overrides.breakers()

    async def SetBreaker(self, request: fleet_pb2.SetBreakerRequest, context: Context) -> fleet_pb2.SetBreakerResponse:
        """Sets breakers in every process, and in those that start later."""
        return await self._overrides.give(request)

    async def ReloadRoutes(
        self, request: fleet_pb2.ReloadRoutesRequest, context: Context
    ) -> fleet_pb2.ReloadRoutesResponse:
        """Has every gateway read its routes file again."""
        found = await reload_routes(self._fleet.processes())
        if not found.loads and not found.silent:
            raise DomainError("CANNOT_BE_DONE", "no gateway has a routes file; `souk up --routes FILE` gives it one")
        return found

    async def keep_orders(self) -> None:
        """Sets the breakers of new processes as an operator has set them, until it is cancelled."""
        await self._overrides.keep()

    async def close(self) -> None:
        """Cancels the operations that still run, and waits for their end."""
        works = list(self._works)
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    async def _do(self, service: str, work: Work) -> None:
        with self._refusals(service):
            await asyncio.shield(self._begin(work))

    def _begin(self, work: Work) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, work: asyncio.Task[None]) -> None:
        self._works.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None:
            # The client gets the error as well, unless it has disconnected.
            _log.info("an operator's command failed", reason=str(error))

    @contextmanager
    def _refusals(self, service: str) -> Iterator[None]:
        try:
            yield
        except ConfigurationError as error:
            known = any(view.service == service for view in self._fleet.processes())
            raise DomainError("CANNOT_BE_DONE" if known else "UNKNOWN_SERVICE", str(error)) from error

    def _written_by(self, name: str) -> list[NamedLog]:
        """Gives the logs of a service, of one process, or all; those of processes that have gone are beside them."""
        views = self._fleet.processes()
        written = {view.instance: view.log for view in views if view.log != NO_LOG}
        # A system of one process may log to a folder where others do: what is beside its log is not looked at.
        folders = {view.log.parent for view in views if view.kind != SYSTEM}
        left = dict(one for folder in folders for one in logs_below(folder))
        instances = {view.instance for view in views if name in ("", view.service, view.instance)}
        instances |= {one for one in left if name in ("", one, one.rpartition("-")[0])}
        if not instances:
            raise DomainError("UNKNOWN_SERVICE", unknown("service or process", name, _names(views)))
        found = {one: log for one, log in {**left, **written}.items() if one in instances}
        if not found:
            raise DomainError(
                "CANNOT_BE_DONE", "the log goes to standard error; SOUK_LOG_FILE names a file that keeps it"
            )
        return sorted(found.items())


def filter_of(request: fleet_pb2.ReadLogsRequest) -> LogFilter:
    """Reads which lines are wanted. Raises InvalidArgument."""
    if request.level and request.level not in LEVELS:
        raise InvalidArgument([Violation("level", f"must be one of {', '.join(LEVELS)}")])
    if request.trace_id and not TRACE_ID.fullmatch(request.trace_id):
        raise InvalidArgument([Violation("trace_id", "must be 32 hexadecimal digits in lower case")])
    return LogFilter(
        trace=request.trace_id,
        about=request.about,
        level=request.level,
        since=request.since.ToMicroseconds() if request.HasField("since") else 0,
        until=request.until.ToMicroseconds() if request.HasField("until") else 0,
        text=request.text,
    )


def _processes(answers: list[tuple[View, fleet_pb2.GetStatusResponse | None]]) -> fleet_pb2.ListProcessesResponse:
    return fleet_pb2.ListProcessesResponse(processes=[process(view, answer) for view, answer in answers])


def _names(views: Sequence[View]) -> list[str]:
    return [name for view in views for name in (view.service, view.instance)]


@asynccontextmanager
async def controlled(fleet: Supervised, applications: Applications | None = None) -> AsyncIterator[FleetControl]:
    """Gives a servicer for a supervisor; operations that still run when the block ends are cancelled."""
    control = FleetControl(fleet, applications)
    keeping = asyncio.create_task(control.keep_orders(), name="standing orders")
    try:
        yield control
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await control.close()


@asynccontextmanager
async def controlling_fleet(
    path: Path,
    fleet: Supervised,
    clock: Clock,
    applications: Applications | None = None,
    versioned: VersionedFleet | None = None,
) -> AsyncIterator[None]:
    """Lets the owner of the private socket `path` operate a fleet inside the block, and its versions if it has some.

    Raises ConfigurationError, in one line, when the socket cannot be made.
    """
    async with controlled(fleet, applications) as control:
        servicers: dict[ServiceDescriptor, object] = {
            CONTRACT: control,
            projections.CONTRACT: FleetProjections(fleet.processes),
            sagas.CONTRACT: FleetSagas(fleet.processes),
            parked_work.CONTRACT: FleetParkedWork(fleet.processes),
            accounts.CONTRACT: FleetAccounts(fleet.processes),
            records.CONTRACT: FleetRecords(fleet.processes),
            fault_points.CONTRACT: FleetFaultPoints(fleet.processes),
        }
        beside = None if versioned is None else FleetVersions(versioned)
        if beside is not None:
            servicers[versions.CONTRACT] = beside
        async with serving(path, servicers, clock):
            yield
        if beside is not None:
            await beside.close()
