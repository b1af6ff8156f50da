"""A pod keeps its network namespace however often its processes are started again, and leaves none behind."""

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest

from souk.admin.process_status import READY, SERVICE
from souk.runtime.process.command import Command
from souk.supervisor.isolation import pod_network
from souk.supervisor.isolation.network_namespace import new_namespace
from souk.supervisor.isolation.pod_network import PodNetwork
from souk.supervisor.output.readiness import ready_line
from souk.supervisor.process_spec import ProcessSpec, SupervisorContext
from souk.supervisor.replica_set import ReplicaSet
from tests.supervisor.test_fleet import PATIENCE, WELL, Watched, running


def spec(number: int) -> ProcessSpec:
    """A process with one beside it, in a namespace of both."""
    network, name = PodNetwork(), f"tiny-{number}"

    async def command() -> Command:
        return Command(WELL, os.environ)

    beside = ProcessSpec("tiny", f"{name}-sidecar", SERVICE, command, ready_line("tiny"), network=network)
    return ProcessSpec("tiny", name, SERVICE, command, ready_line("tiny"), sidecar=beside, network=network)


def added(watched: Watched) -> ReplicaSet:
    context = SupervisorContext(
        watched.clock,
        watched.record,
        lambda one: watched.folder / f"{one}.log",
        lambda view: watched.fleet.notify(),
        lambda instance, lines: None,
    )
    replica_set = watched.fleet.add(ReplicaSet("tiny", SERVICE, 2, spec, context))
    replica_set.begin()
    return replica_set


def namespace(pid: int) -> int:
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def opened() -> set[int]:
    """Gives the network namespaces that this process has open."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        try:
            if os.readlink(path).startswith("net:"):
                found.add(path.stat().st_ino)
        except OSError:
            continue  # that by which the folder was read
    return found


async def test_namespaces_last_as_long_as_their_pods(tmp_path: Path) -> None:
    try:
        os.close(new_namespace())
    except OSError as error:
        pytest.skip(f"no network namespaces here: {error.strerror}")
    all_ready = dict.fromkeys(("tiny-1", "tiny-1-sidecar", "tiny-2", "tiny-2-sidecar"), READY)
    async with running(tmp_path) as watched:
        replica_set = added(watched)
        await watched.until(all_ready)
        before = {name: namespace(pid) for name, pid in watched.pids.items()}
        assert before["tiny-1"] == before["tiny-1-sidecar"] != before["tiny-2"] == before["tiny-2-sidecar"]
        assert set(before.values()) == opened()
        killed = watched.pids["tiny-1-sidecar"]
        os.kill(killed, signal.SIGKILL)
        while watched.pids.get("tiny-1-sidecar", killed) == killed:
            await watched.fleet.changed().wait()
        await watched.until(all_ready)
        assert namespace(watched.pids["tiny-1-sidecar"]) == before["tiny-1"]
        await replica_set.roll(lambda line: None)
        assert opened() == {namespace(pid) for pid in watched.pids.values()}
        await replica_set.scale(1)
        assert len(opened()) == 1
    assert opened() == set()


async def test_one_that_nobody_waits_for_any_more_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stands_for_it = tmp_path / "namespace"
    stands_for_it.touch()
    making, go_on, made = threading.Event(), threading.Event(), list[int]()

    def make() -> int:
        making.set()
        go_on.wait(PATIENCE)
        made.append(os.open(stands_for_it, os.O_RDONLY))
        return made[0]

    monkeypatch.setattr(pod_network, "new_namespace", make)
    network = PodNetwork()
    waiting = asyncio.create_task(network.descriptor())
    await asyncio.to_thread(making.wait, PATIENCE)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    network.close()
    go_on.set()
    async with asyncio.timeout(PATIENCE):
        while not made or is_open(made[0], stands_for_it):
            await asyncio.sleep(0.01)


def is_open(descriptor: int, path: Path) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}") == str(path)
    except OSError:
        return False
