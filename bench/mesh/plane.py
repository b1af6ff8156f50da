"""A control plane as a process of its own, over a registry that does what it is told.

python -m bench.mesh.plane FOLDER      serves sidecars at FOLDER/xds.sock

It answers each line, a command as JSON, with a line of JSON: its clock, its CPU so far, and what was asked for.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import psutil
import uvloop

from bench.system import MEBIBYTE, process_with_lines
from souk.discovery.directory import Directory
from souk.discovery.registry import Change, Changed, Instance, Joined, Listed, WatchEvent
from souk.kernel.clock import SystemClock
from souk.mesh.control_plane import ControlPlane
from souk.mesh.envoy.clusters import TRUSTED_ROOTS
from souk.mesh.envoy.resource import ENDPOINTS
from souk.mesh.envoy.resource import SECRET as SECRET_TYPE
from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.store import AuthorityStore
from souk.mesh.policy.reading import default_policy
from souk.mesh.policy.who_may_call import who_may_call
from souk.runtime.calls.registration import APPLICATION
from souk.runtime.config.entry_points import app

SECRET = b"s" * 32
SOCKET = "xds.sock"
_POLL = 0.001


class SteeredRegistry:
    """A registry whose changes are put into it."""

    away = ""

    def __init__(self) -> None:
        self._changes: dict[str, asyncio.Queue[Change]] = {}

    def put(self, change: Change) -> None:
        """Has the watchers of the service learn of a change of an instance."""
        assert isinstance(change, Joined | Changed)
        self._queue(change.instance.service).put_nowait(change)

    async def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        """Yields what was put in, one by one."""
        yield Listed(service)
        while True:
            yield await self._queue(service).get()

    def _queue(self, service: str) -> asyncio.Queue[Change]:
        return self._changes.setdefault(service, asyncio.Queue())


class SteeredControlPlane:
    """The control plane, and the commands that it is given."""

    def __init__(self, folder: Path) -> None:
        services, clock = app(None).services, SystemClock()
        self._allowed = who_may_call(services)
        self._registry = SteeredRegistry()
        self._directory = Directory(self._registry, clock)
        self._authority = CertificateAuthority(AuthorityStore(folder), Lifetimes(), clock)
        self._plane = ControlPlane(
            services, default_policy(services), self._allowed, self._authority, self._directory, SECRET, clock
        )
        self._socket = folder / SOCKET
        self._instances: dict[str, list[Instance]] = {service.name: [] for service in services}
        self._changes = 0
        self.began = (0.0, 0.0)

    def begin(self) -> None:
        """Counts the time and the CPU of a command from now on."""
        self.began = (time.perf_counter(), time.process_time())

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serves sidecars inside the block."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._directory.close)
            await stack.enter_async_context(self._plane.serving(self._socket))
            yield

    async def join(self, instances: Iterable[Mapping[str, str]]) -> None:
        """Registers instances; returns when the control plane knows them."""
        for one in instances:
            joined = Instance(one["service"], one["id"], one["address"], metadata={APPLICATION: one["app"]})
            self._instances[joined.service].append(joined)
            self._registry.put(Joined(joined))
        while any(len(self._directory.instances(name)) != len(found) for name, found in self._instances.items()):
            await asyncio.sleep(_POLL)

    async def settled(self, nodes: int) -> None:
        """Returns when so many sidecars are connected, and have all that they are to have, certificates included."""
        server = self._plane.server
        while len(server.connected) < nodes:
            await asyncio.sleep(_POLL)
        for node in sorted(server.connected):
            await server.settled(node)

    async def change(self, service: str, instances: int) -> int:
        """Moves instances of a service; returns how many sidecars have acknowledged that, when all have."""
        nodes = self._callers(service)
        before = {node: self._held(node, service) for node in nodes}
        self.begin()
        for at, one in enumerate(self._instances[service][:instances]):
            self._changes += 1
            moved = replace(one, address=f"unix:/run/moved-{self._changes}.sock")
            self._instances[service][at] = moved
            self._registry.put(Changed(moved))
        newest = tuple(sorted(self._instances[service], key=lambda one: one.id))
        while self._directory.instances(service) != newest:
            await asyncio.sleep(_POLL)
        for node in nodes:
            while self._held(node, service) == before[node]:
                await asyncio.sleep(_POLL)
        return len(nodes)

    async def rotate(self) -> None:
        """Begins to rotate the root; returns when all sidecars trust the next one, too."""
        nodes = sorted(self._plane.server.connected)
        before = {node: self._roots(node) for node in nodes}
        self.begin()
        await asyncio.to_thread(self._authority.rotate_root)
        for node in nodes:
            while self._roots(node) == before[node]:
                await asyncio.sleep(_POLL)

    def _roots(self, node: str) -> str:
        return self._version(node, SECRET_TYPE, TRUSTED_ROOTS)

    def _held(self, node: str, service: str) -> str:
        return self._version(node, ENDPOINTS, service)

    def _version(self, node: str, type_url: str, name: str) -> str:
        # Read where it is kept: a copy of all that each sidecar has would be a good part of what is measured.
        stream = self._plane.server._records[node].stream
        held = {} if stream is None else stream._types[type_url].held
        return held.get(name, "")

    def _callers(self, service: str) -> list[str]:
        callers = self._allowed.callers_of(service)
        return sorted(node for node in self._plane.server.connected if node.rpartition("-")[0] in callers)


async def _run(folder: Path) -> None:
    plane = SteeredControlPlane(folder)
    async with plane.serving():
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            command: dict[str, Any] = json.loads(line)
            plane.begin()
            found = await getattr(plane, command.pop("do"))(**command) if "do" in command else None
            (began, cpu), ended = plane.began, (time.perf_counter(), time.process_time())
            took = {"seconds": ended[0] - began, "spent": ended[1] - cpu}
            print(json.dumps({**took, "cpu": ended[1], "found": found}), flush=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command took: `seconds` until it was done, and seconds of CPU `spent` meanwhile; all CPU so far."""

    seconds: float
    spent: float
    cpu: float
    found: Any


class PlaneProcess:
    """The process, from outside."""

    def __init__(self, process: psutil.Process, asks: IO[str], answers: IO[str]) -> None:
        self._process, self._asks, self._answers = process, asks, answers

    def ask(self, do: str = "", **more: Any) -> Answer:
        """Gives a command, and waits until it is done; without one only reads the CPU."""
        self._asks.write(json.dumps({"do": do, **more} if do else {}) + "\n")
        self._asks.flush()
        return Answer(**json.loads(self._answers.readline()))

    @property
    def memory(self) -> float:
        """Its memory in MiB, where what is shared with others counts in part (PSS)."""
        return float(self._process.memory_full_info().pss) / MEBIBYTE


@contextmanager
def running_plane(folder: Path) -> Iterator[PlaneProcess]:
    """Starts it in a folder, and ends it with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with process_with_lines((sys.executable, "-m", "bench.mesh.plane", str(folder))) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdout.readline()
        yield PlaneProcess(psutil.Process(started.pid), started.stdin, started.stdout)


if __name__ == "__main__":
    uvloop.run(_run(Path(sys.argv[1])))
