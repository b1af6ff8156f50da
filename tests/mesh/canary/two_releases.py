"""A mesh in which Order calls Payment, of which a second version comes and goes: three real sidecars."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from souk.descriptors.contract import Method
from souk.discovery.directory import Directory
from souk.discovery.registry import Change, Instance, Joined, Left, Listed, WatchEvent
from souk.kernel.addresses import unix_address
from souk.kernel.clock import SystemClock
from souk.mesh.canary.observations.release_tallies import ReleaseTallies
from souk.mesh.canary.observations.service import ReportsHandler
from souk.mesh.canary.tally import Tally
from souk.mesh.control_plane import ControlPlane
from souk.mesh.envoy.bootstrap import Sidecar
from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.store import AuthorityStore
from souk.mesh.policy.policy import CanarySplit
from souk.mesh.policy.reading import default_policy
from souk.mesh.policy.who_may_call import who_may_call
from souk.mesh.workloads import workload_token
from souk.rpc.call import Call, CallFailed, Invoke
from souk.rpc.client.layer_stack import sidecar_layers, wrapped
from souk.rpc.metadata import IDEMPOTENCY_KEY
from souk.rpc.sidecar import SidecarTransport
from souk.rpc.status import STATUS_KEY
from souk.runtime.calls.registration import APPLICATION
from souk.runtime.config.entry_points import app
from souk.testing.servers.sidecar import SidecarProcess

SECRET = b"s" * 32
CLOCK = SystemClock()
SERVICES = app(None).services
PATIENCE = 60.0
OLD, NEW = "payment-1", "payment-2"
"""The instance of the baseline, and that of the version v2."""


class ChangingRegistry:
    """A registry whose instances join and leave as a test wants."""

    away = ""

    def __init__(self) -> None:
        self.instances: dict[str, Instance] = {}
        self._watches: list[tuple[str, asyncio.Queue[WatchEvent]]] = []

    async def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        changes: asyncio.Queue[WatchEvent] = asyncio.Queue()
        for one in self.instances.values():
            if one.service == service:
                changes.put_nowait(Joined(one))
        changes.put_nowait(Listed(service))
        self._watches.append((service, changes))
        while True:
            yield await changes.get()

    def join(self, one: Instance) -> None:
        self.instances[one.id] = one
        self._send(one.service, Joined(one))

    def leave(self, name: str) -> None:
        one = self.instances.pop(name)
        self._send(one.service, Left(one))

    def _send(self, service: str, change: Change) -> None:
        for watched, changes in self._watches:
            if watched == service:
                changes.put_nowait(change)


@dataclass
class Ending:
    """How a release ends its calls, by the path of the method: with a status, and with what says why."""

    code: grpc.StatusCode
    details: bytes = b""


class ReleaseApp(grpc.GenericRpcHandler):
    """One release: its name, what arrived (method and metadata), and how calls end that do not end well."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.arrived: list[tuple[str, dict[str, str | bytes]]] = []
        self.ends: Callable[[str], Ending | None] = lambda path: None
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method

        async def answer(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
            self.arrived.append((method, dict(context.invocation_metadata() or ())))
            await self.goes_on.wait()
            ending = self.ends(method)
            if ending is not None:
                if ending.details:
                    context.set_trailing_metadata(((STATUS_KEY, ending.details),))
                await context.abort(ending.code, "as the test has it")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@dataclass
class TwoReleases:
    """The mesh: what a test changes and reads."""

    plane: ControlPlane
    observed: ReleaseTallies
    registry: ChangingRegistry
    directory: Directory
    invoke: Invoke
    folder: Path
    apps: dict[str, ReleaseApp] = field(default_factory=dict)
    sidecars: dict[str, SidecarProcess] = field(default_factory=dict)

    async def join_new(self) -> None:
        """Has the version v2 join, and waits until every sidecar has it."""
        self.registry.join(payment(self.folder, NEW, "v2"))
        await self._known(lambda names: NEW in names)

    async def leave_new(self) -> None:
        self.registry.leave(NEW)
        await self._known(lambda names: NEW not in names)

    async def split(self, percent: float, *headers: tuple[str, str], mirrored: bool = False) -> None:
        """Gives v2 a share of the calls, and waits until every sidecar has it."""
        self.plane.split("payment", CanarySplit("v2", percent, headers, mirrored))
        await self.settled()

    async def settled(self) -> None:
        """Waits until every sidecar has what it is to have."""
        for name in self.sidecars:
            await self.plane.server.settled(name)

    async def call(
        self, method: Method, *metadata: tuple[str, str], key: str = "", seconds: float = PATIENCE
    ) -> CallFailed | None:
        """Makes a call that may take so many seconds; returns how it failed."""
        return await make_call(self.invoke, method, *metadata, key=key, seconds=seconds)

    async def tallies(self, until: Callable[[dict[str, Tally]], bool]) -> dict[str, Tally]:
        """Waits until the tallies of Payment are as wanted, and returns them."""
        while not until(found := dict(self.observed.tallies("payment"))):
            await asyncio.sleep(0.05)
        return found

    async def _known(self, wanted: Callable[[set[str]], bool]) -> None:
        while not wanted({one.id for one in self.directory.instances("payment")}):
            await asyncio.sleep(0.02)
        await self.settled()


@asynccontextmanager
async def two_releases(folder: Path) -> AsyncIterator[TwoReleases]:
    """Starts all of it. The baseline has joined, and the version v2 runs but has not."""
    async with AsyncExitStack() as stack:
        registry = ChangingRegistry()
        registry.join(payment(folder, OLD))
        plane, observed, directory = await stack.enter_async_context(served_plane(folder, registry))
        invoke, apps, sidecars = await start_data_plane(stack, folder)
        mesh = TwoReleases(plane, observed, registry, directory, invoke, folder, apps, sidecars)
        await mesh.settled()
        yield mesh


@asynccontextmanager
async def served_plane(
    folder: Path, registry: ChangingRegistry
) -> AsyncIterator[tuple[ControlPlane, ReleaseTallies, Directory]]:
    """Serves a control plane with the contracts of the marketplace, and counts what sidecars report."""
    directory = Directory(registry, CLOCK)
    try:
        await directory.known("payment", PATIENCE)
        authority = CertificateAuthority(AuthorityStore(folder), Lifetimes(), CLOCK)
        allowed = who_may_call(SERVICES)
        plane = ControlPlane(SERVICES, default_policy(SERVICES), allowed, authority, directory, SECRET, CLOCK)
        observed = ReleaseTallies(SERVICES, plane.rules)
        reports = ReportsHandler(plane.is_sidecar, observed.report)
        async with plane.serving(socket_of(folder), (reports,)):
            yield plane, observed, directory
    finally:
        await directory.close()


async def start_data_plane(
    stack: AsyncExitStack, folder: Path
) -> tuple[Invoke, dict[str, ReleaseApp], dict[str, SidecarProcess]]:
    """Starts both releases and the three sidecars; returns what calls as Order, the releases and the sidecars."""
    apps, sidecars = {}, {}
    for name in (OLD, NEW):
        apps[name] = ReleaseApp(name)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((apps[name],))
        server.add_insecure_port(unix_address(folder / f"{name}.app"))
        await server.start()
        stack.push_async_callback(server.stop, None)
    outbound = unix_address(folder / "order.sock")
    for service, name in (("order", "order-1"), ("payment", OLD), ("payment", NEW)):
        metadata = {"outbound": outbound if service == "order" else unix_address(folder / f"{name}.out")}
        if service == "payment":
            metadata["inbound"] = payment(folder, name).address
        token = workload_token(SECRET, service, name)
        sidecar = Sidecar(name, service, token, socket_of(folder), folder / f"{name}.admin", metadata)
        sidecars[name] = stack.enter_context(SidecarProcess(folder / name, sidecar))
        await sidecars[name].start()
    transport = SidecarTransport("payment", outbound, CLOCK)
    stack.push_async_callback(transport.close, 0)
    return wrapped(transport.unary, sidecar_layers(CLOCK)), apps, sidecars


def payment(folder: Path, name: str, version: str = "") -> Instance:
    """Makes an instance of Payment as it registers."""
    application = unix_address(folder / f"{name}.app")
    inbound = unix_address(folder / f"{name}.in")
    return Instance("payment", name, inbound, version=version, metadata={APPLICATION: application})


def socket_of(folder: Path) -> Path:
    """Gives the socket of the control plane."""
    return folder / "control" / "xds.sock"


async def make_call(
    invoke: Invoke, method: Method, *metadata: tuple[str, str], key: str = "", seconds: float = PATIENCE
) -> CallFailed | None:
    """Makes a call that may take so many seconds; returns how it failed."""
    sent = (*metadata, (IDEMPOTENCY_KEY, key)) if key else metadata
    try:
        await invoke(Call(method, b"", sent, CLOCK.monotonic() + seconds, idempotency_key=key))
    except CallFailed as error:
        return error
    return None


async def serve_both(folder: str) -> None:
    """Serves a control plane as a process of its own, to which both releases have joined, with half the calls each."""
    registry = ChangingRegistry()
    registry.join(payment(Path(folder), OLD))
    registry.join(payment(Path(folder), NEW, "v2"))
    async with served_plane(Path(folder), registry) as (plane, observed, _):
        plane.split("payment", CanarySplit("v2", 50))
        print("ready", flush=True)
        while True:
            line = await asyncio.to_thread(sys.stdin.readline)
            if not line:
                break
            print(sum(one.calls for one in observed.tallies("payment").values()), flush=True)


if __name__ == "__main__":
    asyncio.run(serve_both(*sys.argv[1:]))
