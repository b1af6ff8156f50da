"""The servicer of `soukapi.v1.Versions`: versions of a service beside the one that a fleet runs."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from google.protobuf.descriptor import ServiceDescriptor
from soukapi.v1 import versions_pb2 as pb
from soukapi.v1 import versions_pb2_grpc

from souk.kernel.errors import ConfigurationError, DomainError
from souk.rpc.server.dispatcher import Context
from souk.telemetry.logs import logger

CONTRACT: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["Versions"]

_log = logger("control")


@dataclass(frozen=True, slots=True)
class VersionLaunch:
    """How processes of a version are started: by the command line `run`, or as the service is if that is empty, with
    `settings` added to their environment."""

    service: str
    version: str
    instances: int
    run: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VersionState:
    """How many processes of a version take calls, and why there will be no more; that is empty if there may be."""

    ready: int
    failed: str = ""


class VersionedFleet(Protocol):
    """A supervisor. Its methods may be repeated, and raise ConfigurationError, in one line, when they cannot do it."""

    def start_version(self, launch: VersionLaunch) -> None:
        """Starts processes of a version, without waiting for them."""
        ...

    def version_state(self, service: str, version: str) -> VersionState:
        """Gives the state of a version that was started, or was not."""
        ...

    async def adopt_version(self, service: str, version: str) -> None:
        """Replaces a service's own processes by such of a version that was started."""
        ...

    async def stop_version(self, service: str, version: str) -> None:
        """Drains and ends the processes of a version that was started."""
        ...

    def has_service(self, name: str) -> bool:
        """Tells whether there is a service of a name."""
        ...


class FleetVersions(versions_pb2_grpc.VersionsServicer):
    """Passes calls on to a supervisor. What has begun goes on when its client disconnects; the next one joins it."""

    def __init__(self, fleet: VersionedFleet) -> None:
        self._fleet = fleet
        self._under_way: dict[tuple[str, str, str], asyncio.Task[None]] = {}

    async def StartVersion(self, request: pb.StartVersionRequest, context: Context) -> pb.StartVersionResponse:
        """Starts processes of a version."""
        launch = VersionLaunch(request.service, request.version, request.instances, request.run, dict(request.settings))
        try:
            self._fleet.start_version(launch)
        except ConfigurationError as error:
            raise self._refusal(request.service, error) from error
        return pb.StartVersionResponse()

    async def GetVersion(self, request: pb.GetVersionRequest, context: Context) -> pb.GetVersionResponse:
        """Gives the state of a version."""
        found = self._fleet.version_state(request.service, request.version)
        return pb.GetVersionResponse(ready=found.ready, failed=found.failed)

    async def AdoptVersion(self, request: pb.AdoptVersionRequest, context: Context) -> pb.AdoptVersionResponse:
        """Replaces the service's processes by such of a version."""
        await self._join("adopt", request.service, request.version, self._fleet.adopt_version)
        return pb.AdoptVersionResponse()

    async def StopVersion(self, request: pb.StopVersionRequest, context: Context) -> pb.StopVersionResponse:
        """Ends the processes of a version."""
        await self._join("stop", request.service, request.version, self._fleet.stop_version)
        return pb.StopVersionResponse()

    async def close(self) -> None:
        """Cancels what is under way, and waits for its end."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _join(self, what: str, service: str, version: str, work: Any) -> None:
        key = (what, service, version)
        if key not in self._under_way:
            made: Coroutine[Any, Any, None] = work(service, version)
            task = self._under_way[key] = asyncio.create_task(made)
            task.add_done_callback(partial(self._ended, key))
        try:
            await asyncio.shield(self._under_way[key])
        except ConfigurationError as error:
            raise self._refusal(service, error) from error

    def _ended(self, key: tuple[str, str, str], task: "asyncio.Task[None]") -> None:
        del self._under_way[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            # The client gets the error as well, unless it has disconnected.
            what, service, version = key
            _log.info("a version cannot be changed", change=what, service=service, version=version, reason=str(error))

    def _refusal(self, service: str, error: ConfigurationError) -> DomainError:
        return DomainError("CANNOT_BE_DONE" if self._fleet.has_service(service) else "UNKNOWN_SERVICE", str(error))
