"""The sidecar of an application that has joined a fleet with a mesh: an Envoy that `souk adopt` starts beside it.

It is the application's only way in: others reach the sidecar by mutual TLS, and the sidecar the application. It ends
with the process of `souk adopt`, however that ends, and is started again when it ends alone, or hangs.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from soukapi.v1 import fleet_pb2

from souk.admin.client import PATIENCE, operating, runs
from souk.kernel.addresses import LOOPBACK, socket_path, unix_address
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, SoukError
from souk.mesh.envoy.bootstrap import Sidecar, find_envoy, sidecar_command, write_bootstrap
from souk.mesh.workloads import workload_token
from souk.resilience.backoff import Backoff
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.child_process import ChildProcess
from souk.runtime.process.command import Command
from souk.runtime.process.liveness import EVERY, Silence, answers_at
from souk.runtime.process.sockets import free_port
from souk.telemetry.logs import logger
from souk.telemetry.proc import cpu_seconds

READY_LIMIT = 60.0
"""Seconds until a sidecar must take requests."""
_END_LIMIT = 3.0
_POLL = 0.05
_AGAIN = Backoff(0.1, 10.0)
_NAME = 12
"""Letters of an instance's id that its sockets are named by: paths of sockets are short."""

_log = logger("adopted")


@dataclass(frozen=True, slots=True)
class SidecarFiles:
    """The sockets of a sidecar in a private folder, and its bootstrap file."""

    folder: Path
    instance: str

    def of(self, what: str) -> Path:
        """Gives the path of one of them."""
        return self.folder / f"{self.instance[-_NAME:]}.{what}"


@dataclass(frozen=True, slots=True)
class AdoptedWorkload:
    """An instance of an application, its zone, and where it listens itself."""

    service: str
    instance: str
    zone: str
    application: str


class ApplicationSidecar:
    """Keeps the sidecar of an application, which takes requests at the address `inbound`, alive while `keep` runs."""

    def __init__(
        self, workload: AdoptedWorkload, inbound: str, files: SidecarFiles, layout: DataLayout, secret: bytes,
        clock: Clock,
    ) -> None:  # fmt: skip
        self.inbound, self.admin = inbound, files.of("admin")
        self._workload, self._files, self._layout, self._secret = workload, files, layout, secret
        self._envoy, self._clock, self._random = find_envoy(), clock, Random()
        self._child: ChildProcess | None = None

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return None if self._child is None or not self._child.runs else self._child.pid

    async def keep(self) -> None:
        """Starts it, and starts it again whenever it ends, until this is cancelled."""
        failures = 0
        while True:
            began = self._clock.monotonic()
            try:
                why = await self._one_life()
            except (OSError, SoukError) as error:
                why = str(error)
            failures = 1 if self._clock.monotonic() - began > _AGAIN.cap else failures + 1
            _log.warning("the sidecar has ended; it is started again", reason=why)
            await asyncio.sleep(_AGAIN.delay(failures, self._random))

    async def takes_requests(self) -> None:
        """Waits until it takes requests. Raises ConfigurationError when it does not after READY_LIMIT."""
        path = socket_path(self.inbound)
        host, _, port = self.inbound.rpartition(":")
        try:
            async with asyncio.timeout(READY_LIMIT):
                while True:
                    try:
                        connecting = asyncio.open_unix_connection(path) if path else asyncio.open_connection(host, port)
                        (await connecting)[1].close()
                    except OSError:
                        await asyncio.sleep(_POLL)
                    else:
                        return
        except TimeoutError:
            raise ConfigurationError(
                "the application's sidecar takes no requests: see `souk ps` and `souk logs mesh`, "
                "as the control plane gives it what it needs"
            ) from None

    async def _one_life(self) -> str:
        """Runs it from a start to an end; returns why it has ended."""
        control_plane = self._layout.control_plane
        about = self._about(control_plane)
        for path in (self.admin, self._files.of("out"), self._files.of("in")):
            path.unlink(missing_ok=True)
        await asyncio.to_thread(write_bootstrap, self._files.of("json"), about)
        command = Command(sidecar_command(self._envoy, self._files.of("json")), {})
        # In a group of its own, so that Ctrl-C does not end it before the requests that go through it.
        child = self._child = ChildProcess.start(command, _written, own_group=True)
        ended = asyncio.ensure_future(child.ended())
        try:
            why = await self._hung(child, ended, control_plane)
            return why or f"status {await ended}"
        finally:
            ended.cancel()
            await _end(child)

    async def _hung(self, child: ChildProcess, ended: "asyncio.Future[int]", control_plane: Path) -> str:
        """Watches it until it has ended; returns why it is ended before, or ""."""
        alive, silence = answers_at(self.admin), Silence(self._clock.monotonic())
        while child.runs:
            await asyncio.wait({ended}, timeout=EVERY)
            now = self._layout.control_plane
            if now != control_plane and now.exists():
                return "the control plane has moved"  # a fleet that starts again may have another folder for sockets
            if await alive():
                silence.answered(self._clock.monotonic())
            elif child.runs and (why := silence.given_up(self._clock.monotonic(), cpu_seconds(child.pid))):
                return why
        return ""

    def _about(self, control_plane: Path) -> Sidecar:
        service, instance = self._workload.service, self._workload.instance
        metadata = {
            "outbound": unix_address(self._files.of("out")),
            "inbound": self.inbound,
            "zone": self._workload.zone,
            "application": self._workload.application,
        }
        token = workload_token(self._secret, service, instance)
        return Sidecar(instance, service, token, control_plane, self.admin, metadata)


async def has_mesh(data: Path) -> bool:
    """Tells whether the system on a data directory is a fleet with a mesh; no if none runs there."""
    if not runs(data):
        return False
    async with operating(data) as fleet:
        found = await fleet.ListProcesses(fleet_pb2.ListProcessesRequest(), timeout=10 * PATIENCE)
    return any(one.kind == fleet_pb2.PROCESS_KIND_CONTROL_PLANE for one in found.processes)


def inbound_address(files: SidecarFiles, registry: str, port: int, host: str | None) -> str:
    """Gives where a sidecar takes requests: at a given port, at any of loopback if other machines read the registry,
    else at a socket."""
    if port or host is not None:
        return f"{host or LOOPBACK}:{port or free_port()}"
    return unix_address(files.of("in")) if registry.startswith("unix:") else f"{LOOPBACK}:{free_port()}"


@asynccontextmanager
async def kept(sidecar: ApplicationSidecar, files: SidecarFiles) -> AsyncIterator[None]:
    """Keeps a sidecar, which takes requests inside the block. Raises ConfigurationError when it does not."""
    keeping = asyncio.create_task(sidecar.keep(), name="sidecar")
    try:
        await sidecar.takes_requests()
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        for what in ("admin", "in", "out", "json"):
            files.of(what).unlink(missing_ok=True)


async def _end(child: ChildProcess) -> None:
    child.send(signal.SIGTERM)
    try:
        await asyncio.wait_for(child.ended(), _END_LIMIT)
    except TimeoutError:
        child.send(signal.SIGKILL)
        await child.ended()


def _written(lines: list[bytes]) -> None:
    for line in lines:
        _log.warning("the sidecar says", line=line.decode(errors="replace"))
