"""The servicers of `soukapi.v1.Projections`: a process does the work, and a supervisor passes calls on to one."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from soukapi.v1 import projections_pb2 as pb
from soukapi.v1 import projections_pb2_grpc

from souk.admin.client import PATIENCE, connection
from souk.admin.process_status import View, answering
from souk.kernel.clock import Clock
from souk.kernel.errors import DomainError, SoukError
from souk.kernel.suggest import unknown
from souk.projections.rebuild import Rebuild, RebuildHeld, RebuildStep
from souk.projections.records import RebuildRecord
from souk.rpc.server.dispatcher import Context

CONTRACT: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["Projections"]
EVERY = 0.2
"""Seconds between two messages about the progress of one phase."""


class ProcessProjections(projections_pb2_grpc.ProjectionsServicer):
    """Rebuilds and compares the projections of the services of this process, by their full names."""

    def __init__(self, rebuilds: Mapping[str, Rebuild], clock: Clock) -> None:
        self._rebuilds = rebuilds
        self._clock = clock

    async def ListProjections(self, request: pb.ListProjectionsRequest, context: Context) -> pb.ListProjectionsResponse:
        """Lists the projections of this process."""
        found = [
            pb.Projection(name=name, last_rebuild=_progress(await rebuild.last()))
            for name, rebuild in sorted(self._rebuilds.items())
        ]
        return pb.ListProjectionsResponse(projections=found)

    async def RebuildProjection(
        self, request: pb.RebuildProjectionRequest, context: Context
    ) -> AsyncIterator[pb.RebuildProjectionResponse]:
        """Rebuilds one, and sends a message for each phase, and now and then for a batch."""
        name = resolved(request.name, self._rebuilds)
        sent, phase = float("-inf"), ""
        with _refusals():
            async with aclosing(self._rebuilds[name].run(anew=request.anew)) as steps:
                async for step in steps:
                    now = self._clock.monotonic()
                    if step.record.phase != phase or now - sent >= EVERY:
                        sent, phase = now, step.record.phase
                        yield _response(name, step)

    async def CheckProjection(
        self, request: pb.CheckProjectionRequest, context: Context
    ) -> AsyncIterator[pb.CheckProjectionResponse]:
        """Compares one, and sends each difference."""
        name = resolved(request.name, self._rebuilds)
        sent, response = float("-inf"), pb.CheckProjectionResponse(name=name)
        with _refusals():
            async with aclosing(self._rebuilds[name].check()) as steps:
                async for done, total, differences in steps:
                    now = self._clock.monotonic()
                    response = pb.CheckProjectionResponse(name=name, done=done, total=total, differences=differences)
                    if differences or now - sent >= EVERY:
                        sent = now
                        yield response
        response.ClearField("differences")
        yield response


class FleetProjections(projections_pb2_grpc.ProjectionsServicer):
    """Passes each call on to a process that hosts the service; `processes` gives those of the fleet."""

    def __init__(self, processes: Callable[[], Sequence[View]]) -> None:
        self._processes = processes

    async def ListProjections(self, request: pb.ListProjectionsRequest, context: Context) -> pb.ListProjectionsResponse:
        """Lists the projections of all processes, each once."""
        found: dict[str, pb.Projection] = {}
        silent = []
        for view, answer in await self._listed():
            if answer is None:
                silent.append(view.instance)
            else:
                found.update({one.name: one for one in answer.projections})
        return pb.ListProjectionsResponse(projections=[found[name] for name in sorted(found)], silent=silent)

    async def RebuildProjection(
        self, request: pb.RebuildProjectionRequest, context: Context
    ) -> AsyncIterator[pb.RebuildProjectionResponse]:
        """Has a process rebuild one, and passes its messages on."""
        view, request.name = await self._host(request.name)
        with _passed_on(view):
            async with connection(view.control) as channel:
                async for message in projections_pb2_grpc.ProjectionsStub(channel).RebuildProjection(request):
                    yield message

    async def CheckProjection(
        self, request: pb.CheckProjectionRequest, context: Context
    ) -> AsyncIterator[pb.CheckProjectionResponse]:
        """Has a process compare one, and passes its messages on."""
        view, request.name = await self._host(request.name)
        with _passed_on(view):
            async with connection(view.control) as channel:
                async for message in projections_pb2_grpc.ProjectionsStub(channel).CheckProjection(request):
                    yield message

    async def _listed(self) -> list[tuple[View, pb.ListProjectionsResponse | None]]:
        return [(view, await _ask(view)) for view in self._processes() if answering(view)]

    async def _host(self, name: str) -> tuple[View, str]:
        """Finds a process that hosts the projection, and gives its full name."""
        hosts = {
            one.name: view for view, answer in await self._listed() if answer is not None for one in answer.projections
        }
        full = resolved(name, hosts)
        return hosts[full], full


def resolved(name: str, known: Mapping[str, object]) -> str:
    """Gives the full name of a projection; `name` may be the service's, if it has one projection.

    Raises UNKNOWN_PROJECTION.
    """
    those = [full for full in known if full == name or full.partition(".")[0] == name]
    if len(those) != 1 and name not in known:
        raise DomainError("UNKNOWN_PROJECTION", unknown("projection", name, those or known))
    return name if name in known else those[0]


async def _ask(view: View) -> pb.ListProjectionsResponse | None:
    try:
        async with connection(view.control) as channel:
            stub = projections_pb2_grpc.ProjectionsStub(channel)
            return await stub.ListProjections(pb.ListProjectionsRequest(), timeout=PATIENCE)
    except grpc.aio.AioRpcError:
        return None


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except RebuildHeld as error:
        raise DomainError("CANNOT_BE_DONE", f"{error}; stop that one, or join it") from error
    except DomainError:
        raise
    except SoukError as error:
        raise DomainError("CANNOT_BE_DONE", f"it has stopped, and can go on later: {error}") from error


@contextmanager
def _passed_on(view: View) -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        why = error.details() or f"{view.instance} has gone away; its log says why"
        raise DomainError("CANNOT_BE_DONE", why) from error


def _response(name: str, step: RebuildStep) -> pb.RebuildProjectionResponse:
    return pb.RebuildProjectionResponse(
        name=name, progress=_progress(step.record), joined=step.joined, resumed=step.resumed
    )


def _progress(record: RebuildRecord | None) -> pb.RebuildProgress | None:
    if record is None:
        return None
    shown = pb.RebuildProgress(
        phase=record.phase.value,
        done=record.done,
        total=max(record.total, record.done),
        running=record.running,
    )
    shown.began_at.FromMicroseconds(record.began_at)
    if record.ended_at:
        shown.ended_at.FromMicroseconds(record.ended_at)
    return shown
