"""Finds runs of sagas and acts on them, in a system that runs or in the databases of one that does not.

A system that runs is asked over its control socket, because it may be the only one that can open its databases.
"""

from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from soukapi.v1 import sagas_pb2 as pb
from soukapi.v1 import sagas_pb2_grpc

from souk.admin.client import operating_on, runs
from souk.admin.opened_databases import opened_databases
from souk.admin.servicers.sagas import LONG, ProcessSagas
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, DomainError
from souk.runtime.config.settings import DataSettings
from souk.runtime.service import Service

T = TypeVar("T")


class SagaDesk(Protocol):
    """Runs of sagas, for an operator. Each method raises ConfigurationError, in one line, when it is refused."""

    at_work: bool
    """Whether runs go on at once: the system may run."""

    async def runs(self, request: pb.ListSagaRunsRequest) -> pb.ListSagaRunsResponse:
        """Lists the runs that are wanted."""
        ...

    async def actions(self, request: pb.ListSagaActionsRequest) -> pb.ListSagaActionsResponse:
        """Lists what operators did."""
        ...

    async def act(self, request: pb.ActOnSagaRunsRequest) -> pb.ActOnSagaRunsResponse:
        """Acts on runs, or says what would be done."""
        ...


class RunningDesk:
    """A system that runs."""

    at_work = True

    def __init__(self, stub: "sagas_pb2_grpc.SagasAsyncStub") -> None:
        self._stub = stub

    async def runs(self, request: pb.ListSagaRunsRequest) -> pb.ListSagaRunsResponse:
        """Lists the runs that are wanted."""
        return await self._stub.ListSagaRuns(request, timeout=LONG)

    async def actions(self, request: pb.ListSagaActionsRequest) -> pb.ListSagaActionsResponse:
        """Lists what operators did."""
        return await self._stub.ListSagaActions(request, timeout=LONG)

    async def act(self, request: pb.ActOnSagaRunsRequest) -> pb.ActOnSagaRunsResponse:
        """Acts on runs, or says what would be done."""
        return await self._stub.ActOnSagaRuns(request, timeout=LONG)


class DatabaseDesk:
    """Databases that this process has opened."""

    def __init__(self, sagas: ProcessSagas, at_work: bool) -> None:
        self._sagas, self.at_work = sagas, at_work

    async def runs(self, request: pb.ListSagaRunsRequest) -> pb.ListSagaRunsResponse:
        """Lists the runs that are wanted."""
        return await _answer(self._sagas.ListSagaRuns(request, None))

    async def actions(self, request: pb.ListSagaActionsRequest) -> pb.ListSagaActionsResponse:
        """Lists what operators did."""
        return await _answer(self._sagas.ListSagaActions(request, None))

    async def act(self, request: pb.ActOnSagaRunsRequest) -> pb.ActOnSagaRunsResponse:
        """Acts on runs, or says what would be done."""
        return await _answer(self._sagas.ActOnSagaRuns(request, None))


async def _answer(work: Awaitable[T]) -> T:
    try:
        return await work
    except DomainError as error:
        raise ConfigurationError(error.detail) from error


@asynccontextmanager
async def saga_desk(
    settings: DataSettings, topology: str, services: Iterable[Service], clock: Clock
) -> AsyncIterator[SagaDesk]:
    """Gives the desk of the system on a data directory. Raises ConfigurationError, in one line, when there is none."""
    if runs(settings.directory):
        async with operating_on(settings.directory) as channel:
            yield RunningDesk(sagas_pb2_grpc.SagasStub(channel))
    else:
        async with opened_databases(settings, topology, services, clock) as (databases, at_work):
            yield DatabaseDesk(ProcessSagas(databases), at_work)
