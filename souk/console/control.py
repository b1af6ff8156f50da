"""What operators ask of the running system, over the private socket that the commands use, too."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
from soukapi.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    canary_pb2,
    faults_pb2,
    faults_pb2_grpc,
    fleet_pb2,
    fleet_pb2_grpc,
    parked_pb2,
    parked_pb2_grpc,
    records_pb2,
    records_pb2_grpc,
    sagas_pb2,
    sagas_pb2_grpc,
)

from souk.admin.canaries.client import has_mesh, operating_canaries
from souk.admin.client import operating_on
from souk.console.page import PageRefused

PATIENCE, LONG = 15.0, 120.0
_MISTAKES = {grpc.StatusCode.NOT_FOUND: 404, grpc.StatusCode.INVALID_ARGUMENT: 400}
"""Refusals for what an operator got wrong, each with the status of its page."""


class ControlSocket:
    """Asks the system on a data directory.

    Every method raises ConfigurationError, in one line, when the system cannot be asked or cannot do it, and
    PageRefused for what does not exist or is not valid.
    """

    def __init__(self, data: Path) -> None:
        self._data = data

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[grpc.aio.Channel]:
        async with operating_on(self._data) as channel:
            try:
                yield channel
            except grpc.aio.AioRpcError as error:
                if error.code() in _MISTAKES:
                    raise PageRefused(error.details() or "", _MISTAKES[error.code()]) from error
                raise

    async def processes(self) -> fleet_pb2.ListProcessesResponse:
        """Lists the processes of the system."""
        async with self._asking() as channel:
            return await fleet_pb2_grpc.FleetStub(channel).ListProcesses(
                fleet_pb2.ListProcessesRequest(), timeout=PATIENCE
            )

    async def logs(self, request: fleet_pb2.ReadLogsRequest) -> tuple[Sequence[fleet_pb2.ReadLogsResponse], bool]:
        """Gives the last lines that are wanted, the oldest first, and whether older ones match as well."""
        found: list[fleet_pb2.ReadLogsResponse] = []
        more = False
        async with self._asking() as channel:
            async for one in fleet_pb2_grpc.FleetStub(channel).ReadLogs(request, timeout=PATIENCE):
                if one.more:
                    more = True
                else:
                    found.append(one)
        return found, more

    async def breakers(self) -> fleet_pb2.ListBreakersResponse:
        """Lists the breakers of every process."""
        async with self._asking() as channel:
            return await fleet_pb2_grpc.FleetStub(channel).ListBreakers(
                fleet_pb2.ListBreakersRequest(), timeout=PATIENCE
            )

    async def set_breaker(self, request: fleet_pb2.SetBreakerRequest) -> fleet_pb2.SetBreakerResponse:
        """Sets breakers in every process."""
        async with self._asking() as channel:
            return await fleet_pb2_grpc.FleetStub(channel).SetBreaker(request, timeout=PATIENCE)

    async def saga_runs(self, request: sagas_pb2.ListSagaRunsRequest) -> sagas_pb2.ListSagaRunsResponse:
        """Lists the runs of sagas that are wanted."""
        async with self._asking() as channel:
            return await sagas_pb2_grpc.SagasStub(channel).ListSagaRuns(request, timeout=PATIENCE)

    async def saga_actions(self, request: sagas_pb2.ListSagaActionsRequest) -> sagas_pb2.ListSagaActionsResponse:
        """Lists what operators did with the runs of a subject."""
        async with self._asking() as channel:
            return await sagas_pb2_grpc.SagasStub(channel).ListSagaActions(request, timeout=PATIENCE)

    async def act_on_sagas(self, request: sagas_pb2.ActOnSagaRunsRequest) -> sagas_pb2.ActOnSagaRunsResponse:
        """Acts on runs, or says what would be done."""
        async with self._asking() as channel:
            return await sagas_pb2_grpc.SagasStub(channel).ActOnSagaRuns(request, timeout=LONG)

    async def parked(self, limit: int) -> parked_pb2.ListParkedResponse:
        """Lists what is parked: of each service at most `limit` steps, and as many events."""
        async with self._asking() as channel:
            request = parked_pb2.ListParkedRequest(limit=limit)
            return await parked_pb2_grpc.ParkedWorkStub(channel).ListParked(request, timeout=PATIENCE)

    async def lag(self) -> parked_pb2.ListLagResponse:
        """Lists the consumers that are behind."""
        async with self._asking() as channel:
            work = parked_pb2_grpc.ParkedWorkStub(channel)
            return await work.ListLag(parked_pb2.ListLagRequest(), timeout=PATIENCE)

    async def event(self, event_id: str) -> parked_pb2.GetEventResponse:
        """Gets an event."""
        async with self._asking() as channel:
            request = parked_pb2.GetEventRequest(id=event_id)
            return await parked_pb2_grpc.ParkedWorkStub(channel).GetEvent(request, timeout=PATIENCE)

    async def decide_parked(self, request: parked_pb2.DecideParkedRequest) -> int:
        """Carries out a decision; returns for how many consumers, or steps."""
        async with self._asking() as channel:
            done = await parked_pb2_grpc.ParkedWorkStub(channel).DecideParked(request, timeout=LONG)
            return done.count

    async def accounts(self) -> accounts_pb2.ReadAccountsResponse:
        """Reads what services count of money and goods."""
        async with self._asking() as channel:
            books = accounts_pb2_grpc.AccountsStub(channel)
            return await books.ReadAccounts(accounts_pb2.ReadAccountsRequest(), timeout=LONG)

    async def records(self, request: records_pb2.ReadRecordsRequest) -> records_pb2.ReadRecordsResponse:
        """Reads what services have recorded about a subject."""
        async with self._asking() as channel:
            return await records_pb2_grpc.RecordsStub(channel).ReadRecords(request, timeout=LONG)

    async def fault_points(self) -> faults_pb2.ListFaultPointsResponse:
        """Lists the points at which processes can be made to die."""
        async with self._asking() as channel:
            points = faults_pb2_grpc.FaultPointsStub(channel)
            return await points.ListFaultPoints(faults_pb2.ListFaultPointsRequest(), timeout=PATIENCE)

    async def arm_fault(self, request: faults_pb2.ArmFaultPointRequest) -> str:
        """Has a process die at a point; returns its name."""
        async with self._asking() as channel:
            armed = await faults_pb2_grpc.FaultPointsStub(channel).ArmFaultPoint(request, timeout=PATIENCE)
            return armed.process

    async def inject_call_fault(self, request: faults_pb2.InjectCallFaultRequest) -> faults_pb2.InjectCallFaultResponse:
        """Has calls of a service go wrong, or ends that."""
        async with self._asking() as channel:
            return await faults_pb2_grpc.FaultPointsStub(channel).InjectCallFault(request, timeout=PATIENCE)

    async def canaries(self) -> Sequence[canary_pb2.Canary]:
        """Lists the last canary of each service; empty without a mesh."""
        if not has_mesh(self._data):
            return ()
        async with operating_canaries(self._data) as canaries:
            found = await canaries.ListCanaries(canary_pb2.ListCanariesRequest(), timeout=PATIENCE)
            return found.canaries

    async def steer_canary(self, request: canary_pb2.SteerCanaryRequest) -> canary_pb2.Canary:
        """Carries out what an operator decides about a canary."""
        async with operating_canaries(self._data) as canaries:
            return (await canaries.SteerCanary(request, timeout=PATIENCE)).canary
