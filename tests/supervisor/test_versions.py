"""Versions of a service beside its own processes: real processes, as small as can be."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from souk.admin.process_status import GATEWAY, READY, SERVICE
from souk.admin.servicers.versions import VersionLaunch, VersionState
from souk.kernel.errors import ConfigurationError
from souk.mesh.canary.release import CanaryRelease
from souk.mesh.canary.steering.plan import CanaryPlan, checked_plan
from souk.mesh.identity.spiffe import Workload
from souk.runtime.process.command import Command
from souk.supervisor import replica_set
from souk.supervisor.launch import LaunchCommands, named_after
from souk.supervisor.output.readiness import ready_line
from souk.supervisor.process_spec import ProcessSpec, SupervisorContext
from souk.supervisor.replica_set import ReplicaSet
from tests.supervisor.test_fleet import BROKEN, PATIENCE, WELL, Watched, running

V2 = VersionLaunch("tiny", "v2", 2)


@dataclass
class SmallVersions:
    """Makes versions whose processes are started by `words`."""

    watched: Watched
    words: tuple[str, ...] = WELL
    admitted: list[Mapping[str, int]] = field(default_factory=list)

    def beside(self, launch: VersionLaunch) -> ReplicaSet:
        context = self.context()
        return ReplicaSet("tiny@v2", SERVICE, launch.instances, self._specs("tiny-v2", launch), context)

    def instead(self, launch: VersionLaunch) -> Callable[[int], ProcessSpec]:
        return self._specs("tiny", launch)

    def context(self) -> SupervisorContext:
        folder = self.watched.folder
        return SupervisorContext(
            self.watched.clock,
            self.watched.record,
            lambda one: folder / f"{one}.log",
            lambda view: self.watched.fleet.notify(),
            lambda instance, lines: None,
        )

    def _specs(self, named: str, launch: VersionLaunch) -> Callable[[int], ProcessSpec]:
        async def command() -> Command:
            return Command(self.words, os.environ)

        return lambda number: ProcessSpec(
            "tiny", f"{named}-{number}", SERVICE, command, ready_line("tiny"), version=launch.version
        )


def with_versions(watched: Watched, words: tuple[str, ...] = WELL) -> SmallVersions:
    watched.add("tiny", replicas=2)
    made = SmallVersions(watched, words)
    watched.fleet.versions = made
    watched.fleet.admit = made.admitted.append
    return made


async def test_a_version_runs_beside_the_service_and_stops(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        made = with_versions(watched)
        assert watched.fleet.version_state("tiny", "v2") == VersionState(0)
        watched.fleet.start_version(V2)
        watched.fleet.start_version(V2)
        assert made.admitted == [{"tiny": 4}]
        await watched.until(dict.fromkeys(("tiny-1", "tiny-2", "tiny-v2-1", "tiny-v2-2"), READY))
        assert watched.fleet.version_state("tiny", "v2") == VersionState(2)
        assert [view.version for view in watched.fleet.processes()] == ["", "", "v2", "v2"]
        assert {view.service for view in watched.fleet.processes()} == {"tiny"}
        await watched.fleet.stop_version("tiny", "v2")
        await watched.fleet.stop_version("tiny", "v2")
        assert watched.states == {"tiny-1": READY, "tiny-2": READY}


async def test_the_processes_of_a_version_count_as_those_of_its_service_when_it_is_scaled(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        made = with_versions(watched)
        watched.fleet.start_version(V2)
        await watched.until(dict.fromkeys(("tiny-1", "tiny-2", "tiny-v2-1", "tiny-v2-2"), READY))
        await watched.fleet.scale("tiny@v2", 3)
        assert made.admitted == [{"tiny": 4}, {"tiny": 5}]


async def test_a_version_that_is_adopted_replaces_the_services_own_processes(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        with_versions(watched)
        watched.fleet.start_version(V2)
        await watched.until(dict.fromkeys(("tiny-1", "tiny-2", "tiny-v2-1", "tiny-v2-2"), READY))
        before = watched.pids
        await watched.fleet.adopt_version("tiny", "v2")
        await watched.fleet.stop_version("tiny", "v2")
        after = watched.pids
        assert {view.version for view in watched.fleet.processes()} == {"v2"}
        assert len(after) == 2
        assert not set(after.values()) & set(before.values())
        # Once more is no harm, and the service is scaled as what it is now.
        await watched.fleet.adopt_version("tiny", "v2")
        assert watched.pids == after
        await watched.fleet.scale("tiny", 3)
        assert [view.version for view in watched.fleet.processes()] == ["v2"] * 3


async def test_a_version_that_does_not_come_up_is_not_adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_set, "GIVE_UP", 0.0)
    async with running(tmp_path) as watched:
        made = with_versions(watched)
        watched.fleet.start_version(V2)
        await watched.until(dict.fromkeys(("tiny-1", "tiny-2", "tiny-v2-1", "tiny-v2-2"), READY))
        made.words = BROKEN
        with pytest.raises(ConfigurationError, match="does not start: cannot find the bazaar"):
            await watched.fleet.adopt_version("tiny", "v2")
        assert [view.version for view in watched.fleet.processes()] == ["", "", "v2", "v2"]


async def test_one_that_dies_again_and_again_says_why_there_will_be_no_more(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        with_versions(watched, BROKEN)
        watched.fleet.start_version(V2)
        async with asyncio.timeout(PATIENCE):
            while not (found := watched.fleet.version_state("tiny", "v2")).failed:
                await watched.fleet.changed().wait()
        assert found.ready == 0
        assert "times: cannot find the bazaar" in found.failed


async def test_what_cannot_be_is_refused_in_a_line(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        watched.add("tiny")
        watched.add("gateway", GATEWAY)
        for launch, words in (
            (V2, "--mesh"),
            (VersionLaunch("tini", "v2", 1), "no service 'tini'"),
            (VersionLaunch("gateway", "v2", 1), "for services"),
        ):
            with pytest.raises(ConfigurationError, match=words):
                watched.fleet.start_version(launch)
        watched.fleet.versions = SmallVersions(watched)
        watched.fleet.start_version(V2)
        with pytest.raises(ConfigurationError, match="in another way"):
            watched.fleet.start_version(VersionLaunch("tiny", "v2", 1))
        with pytest.raises(ConfigurationError, match="no v3 of tiny was started"):
            await watched.fleet.adopt_version("tiny", "v3")


@pytest.mark.parametrize(
    ("run", "settings", "words"),
    [
        ("/no/such/program --port 0", {}, "no program '/no/such/program'"),
        ("sh 'unfinished", {}, "cannot be read"),
        ("", {"SOUK_INSTANCE": "mine"}, "SOUK_INSTANCE is the fleet's to set"),
        ("", {"SOUK_VERSION": "v3"}, "SOUK_VERSION is the fleet's to set"),
    ],
)
def test_a_command_that_cannot_be_is_refused(run: str, settings: dict[str, str], words: str) -> None:
    commands = LaunchCommands({}, Path.cwd())
    with pytest.raises(ConfigurationError, match=words):
        commands.for_version(VersionLaunch("tiny", "v2", 1, run, settings), os.environ)


def test_a_version_has_its_own_command_and_others_keep_theirs() -> None:
    commands = LaunchCommands({"tiny": ("old",), "other": ("other",)}, Path.cwd())
    made = commands.for_version(VersionLaunch("tiny", "v2", 1, "sh -c 'exit 0'"), os.environ)
    assert made.of("tiny", {}).words == ("sh", "-c", "exit 0")
    assert made.of("other", {}).words == ("other",)
    assert commands.for_version(VersionLaunch("tiny", "v2", 1), os.environ) is commands


@pytest.mark.parametrize("version", ["v2", "1.4.2", "V2", "2026.11.30-rc.1", "v2_", "a" * 40])
def test_each_version_that_may_be_released_has_instances_that_certificates_can_name(version: str) -> None:
    checked_plan(CanaryPlan(release=CanaryRelease(service="notification", version=version)))
    instance = f"{named_after(VersionLaunch('notification', version, 50))}-50"
    assert Workload("notification", instance).instance == instance


def test_the_instances_of_a_version_bear_its_name() -> None:
    assert [named_after(VersionLaunch("tiny", version, 1)) for version in ("v2", "1.4.2")] == ["tiny-v2", "tiny-1-4-2"]
