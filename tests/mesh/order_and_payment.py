"""A mesh of two: an application calls as Order through its sidecar, and one answers as Payment behind another.

The control plane is the real one, with the contracts of the marketplace; the callee answers as it is told.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from souk.discovery.directory import Directory
from souk.discovery.registry import Change, Instance, Joined, Left, Listed, WatchEvent
from souk.kernel.addresses import unix_address
from souk.kernel.clock import Clock, SystemClock
from souk.mesh.control_plane import ControlPlane
from souk.mesh.envoy.bootstrap import Sidecar
from souk.mesh.envoy.trace_variables import SpanReceiver
from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.store import AuthorityStore
from souk.mesh.operations.last_policy import LastPolicy, LoadPolicy
from souk.mesh.operations.policy_file import PolicyFile
from souk.mesh.operations.servicer import operations
from souk.mesh.policy.policy import MeshPolicy
from souk.mesh.policy.reading import default_policy, load_policy
from souk.mesh.policy.who_may_call import who_may_call
from souk.mesh.workloads import workload_token
from souk.rpc.status import STATUS_KEY
from souk.runtime.calls.registration import APPLICATION
from souk.runtime.config.entry_points import app
from souk.runtime.data.layout import DataLayout
from souk.testing.servers.sidecar import SidecarProcess

SECRET = b"s" * 32
CLOCK = SystemClock()
SERVICES = app(None).services
MARK = "test-mark"
"""A key of metadata by which a test knows a call again."""


class ToldRegistry:
    """A registry with the instances that it is told; a watch begins with those that are there.

    While it is not `answering`, watches that begin yield nothing.
    """

    away = ""

    def __init__(self, *instances: Instance) -> None:
        self._instances = {one.id: one for one in instances}
        self._watches: list[tuple[str, asyncio.Queue[WatchEvent]]] = []
        self.answering = asyncio.Event()
        self.answering.set()

    def join(self, instance: Instance) -> None:
        self._instances[instance.id] = instance
        self._say(Joined(instance))

    def leave(self, instance: Instance) -> None:
        del self._instances[instance.id]
        self._say(Left(instance))

    def _say(self, change: Change) -> None:
        for service, changes in self._watches:
            if service == change.instance.service:
                changes.put_nowait(change)

    async def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        await self.answering.wait()
        changes: asyncio.Queue[WatchEvent] = asyncio.Queue()
        for one in self._instances.values():
            if one.service == service:
                changes.put_nowait(Joined(one))
        changes.put_nowait(Listed(service))
        self._watches.append((service, changes))
        try:
            while True:
                yield await changes.get()
        finally:
            self._watches.remove((service, changes))


class ControlPlaneHost:
    """A control plane on a data directory that can be stopped, and started again as another process would be."""

    def __init__(
        self, registry: ToldRegistry, folder: Path, make: Callable[[Directory], ControlPlane], load: LoadPolicy
    ):
        self._registry, self._folder, self._make, self._load = registry, folder, make, load
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        directory = Directory(self._registry, CLOCK)
        self._stack.push_async_callback(directory.close)
        if self._registry.answering.is_set():
            await directory.known("payment", 60.0)
        self.plane = self._make(directory)
        last, path = LastPolicy(self._folder), self._folder / "mesh.yaml"
        start = None
        if path.exists():
            start = last.at_start(path, self._load, partial(default_policy, SERVICES))
            self.plane.apply(start.policy)
        self.file = PolicyFile(self.plane, path, self._load, CLOCK, last, start)
        serving = self.plane.serving(DataLayout(self._folder).control_plane, [operations(self.plane, self.file, CLOCK)])
        await self._stack.enter_async_context(serving)

    async def stop(self) -> None:
        await self._stack.aclose()


class ToldCallee(grpc.GenericRpcHandler):
    """Ends the next calls of any method with `codes`, and all others well; counts what arrives, by method, and keeps
    the metadata of the last call and each MARK. While it is not `open`, calls wait; `running` are in it, and `most` was
    their highest number.

    With `details`, a serialised google.rpc.Status, it says why.
    """

    def __init__(self) -> None:
        self.codes: list[grpc.StatusCode] = []
        self.details = b""
        self.arrived: Counter[str] = Counter()
        self.metadata: Sequence[tuple[str, Any]] = ()
        self.marks: set[str] = set()
        self.running = self.most = 0
        self.open = asyncio.Event()
        self.open.set()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method

        async def answer(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
            self.arrived[method] += 1
            self.metadata = [(name, value) for name, value in context.invocation_metadata() or ()]
            self.marks.update(str(value) for name, value in self.metadata if name == MARK)
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await self.open.wait()
            finally:
                self.running -= 1
            if self.codes:
                if self.details:
                    context.set_trailing_metadata(((STATUS_KEY, self.details),))
                await context.abort(self.codes.pop(0), "as told")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


def load_rules(path: Path) -> MeshPolicy:
    """Reads a policy file about the marketplace."""
    return load_policy(path, SERVICES)


@dataclass
class TwoSidecars:
    """Where Order's calls go in, where Payment's sidecar takes calls and where the callee itself does, the callee, the
    registry and the control plane, and the sidecars by their names."""

    outbound: str
    inbound: str
    application: str
    callee: ToldCallee
    instance: Instance
    registry: ToldRegistry
    control: ControlPlaneHost
    sidecars: dict[str, SidecarProcess] = field(default_factory=dict)

    @property
    def plane(self) -> ControlPlane:
        return self.control.plane

    @property
    def authority(self) -> CertificateAuthority:
        return self.control.plane.authority


@asynccontextmanager
async def two_sidecars(
    folder: Path,
    policy: MeshPolicy | None = None,
    clock: Clock = CLOCK,
    lifetimes: Lifetimes | None = None,
    load: LoadPolicy = load_rules,
    spans: SpanReceiver | None = None,
) -> AsyncIterator[TwoSidecars]:
    """Starts all of it, which is at rest inside the block; `clock` is the one of the control plane, and the folder is
    its data directory."""
    callee, application = ToldCallee(), unix_address(folder / "app.sock")
    socket = DataLayout(folder).control_plane
    inbound = unix_address(folder / "in.sock")
    instance = Instance("payment", "payment-1", inbound, metadata={APPLICATION: application})
    async with AsyncExitStack() as stack:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((callee,))
        server.add_insecure_port(application)
        await server.start()
        stack.push_async_callback(server.stop, None)
        registry = ToldRegistry(instance)

        def control_plane(directory: Directory) -> ControlPlane:
            authority = CertificateAuthority(AuthorityStore(folder), lifetimes or Lifetimes(), clock)
            rules = default_policy(SERVICES) if policy is None else policy
            return ControlPlane(SERVICES, rules, who_may_call(SERVICES), authority, directory, SECRET, clock, spans)

        control = ControlPlaneHost(registry, folder, control_plane, load)
        stack.push_async_callback(control.stop)
        await control.start()
        outbound = unix_address(folder / "order.sock")
        found = TwoSidecars(outbound, inbound, application, callee, instance, registry, control)
        for service, metadata in (
            ("order", {"outbound": found.outbound}),
            ("payment", {"outbound": unix_address(folder / "payment.sock"), "inbound": inbound}),
        ):
            name = f"{service}-1"
            sidecar = Sidecar(
                name, service, workload_token(SECRET, service, name), socket,
                folder / f"{name}.admin", metadata,
            )  # fmt: skip
            process = found.sidecars[name] = stack.enter_context(SidecarProcess(folder / name, sidecar))
            await process.start()
        for name in found.sidecars:
            await found.plane.server.settled(name)
        yield found


def codes(*names: str) -> Sequence[grpc.StatusCode]:
    """Gives codes by their names."""
    return [grpc.StatusCode[name] for name in names]
