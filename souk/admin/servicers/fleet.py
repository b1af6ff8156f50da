"""The servicer of a supervisor's control socket: `soukapi.v1.Fleet`."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf.descriptor import ServiceDescriptor
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.applications import Applications
from souk.admin.breaker_overrides import BreakerOverrides
from souk.admin.client import ask_all, status
from souk.admin.log_tail import Logs
from souk.admin.messages import process
from souk.admin.process_status import NO_LOG, Supervised, View
from souk.admin.routes_reload import reload_routes
from souk.admin.servicers import projections, sagas
from souk.admin.servicers.projections import FleetProjections
from souk.admin.servicers.sagas import FleetSagas
from souk.admin.unix_socket import serving
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, DomainError, InvalidArgument, Violation
from souk.kernel.suggest import unknown
from souk.rpc.server.dispatcher import Context
from souk.telemetry.logs import logger

CONTRACT: ServiceDescriptor = fleet_pb2.DESCRIPTOR.services_by_name["Fleet"]
FOLLOW_EVERY = 0.2
MOST_LINES = 100_000

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
        """Sends the last lines of a service's or a process's logs, and with `follow` those that are written later."""
        logs = Logs()
        try:
            count = min(max(request.lines, 0), MOST_LINES)
            for instance, line in await asyncio.to_thread(logs.last, self._written_by(request.service), count):
                yield fleet_pb2.ReadLogsResponse(instance=instance, line=line)
            while request.follow:
                await asyncio.sleep(FOLLOW_EVERY)
                for instance, line in await asyncio.to_thread(logs.further, self._written_by(request.service)):
                    yield fleet_pb2.ReadLogsResponse(instance=instance, line=line)
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

    def _written_by(self, name: str) -> list[tuple[str, Path]]:
        """Gives the logs of a service, or of one process, by instance."""
        views = self._fleet.processes()
        found = {view.instance: view.log for view in views if name in (view.service, view.instance)}
        if not found:
            raise DomainError("UNKNOWN_SERVICE", unknown("service or process", name, _names(views)))
        if NO_LOG in found.values():
            raise DomainError(
                "CANNOT_BE_DONE", "the log goes to standard error; SOUK_LOG_FILE names a file that keeps it"
            )
        return sorted(found.items())


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
    path: Path, fleet: Supervised, clock: Clock, applications: Applications | None = None
) -> AsyncIterator[None]:
    """Lets the owner of the private socket `path` operate a fleet inside the block.

    Raises ConfigurationError, in one line, when the socket cannot be made.
    """
    async with controlled(fleet, applications) as control:
        servicers = {
            CONTRACT: control,
            projections.CONTRACT: FleetProjections(fleet.processes),
            sagas.CONTRACT: FleetSagas(fleet.processes),
        }
        async with serving(path, servicers, clock):
            yield
