"""Processes that live, die and are asked to end: real ones, as small as can be."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import pytest

from souk.admin.process_record import ProcessesFile
from souk.admin.process_status import BACKING_OFF, ENGINE, FAILED, GATEWAY, READY, SERVICE, STOPPED, ProcessView
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.errors import ConfigurationError
from souk.runtime.process.command import Command
from souk.supervisor import fleet as fleet_module
from souk.supervisor import managed_process as slot_module
from souk.supervisor import replica_set as part_module
from souk.supervisor.fleet import Fleet
from souk.supervisor.output.readiness import ready_line
from souk.supervisor.process_spec import ProcessSpec, SupervisorContext
from souk.supervisor.replica_set import ReplicaSet
from souk.supervisor.starting import START_LIMIT, Turns
from souk.telemetry.proc import boot
from souk.testing.clocks import FakeClock

PATIENCE = 120.0
WELL = ("/bin/sh", "-c", "echo ready tiny 127.0.0.1:$$; exec sleep 600")
STUBBORN = ("/bin/sh", "-c", "trap '' TERM; echo ready tiny 127.0.0.1:1; while :; do sleep 1; done")
BROKEN = ("/bin/sh", "-c", "echo cannot find the bazaar >&2; exit 3")
MISSING = ("/no/such/program",)
TALKATIVE = (sys.executable, "-c", "print('ready tiny 127.0.0.1:1', flush=True); print('x' * 3_000_000); input()")


@dataclass
class Watched:
    """A fleet, and the record of what happened to its processes."""

    folder: Path
    fleet: Fleet = field(default_factory=Fleet)
    told: list[tuple[str, str]] = field(default_factory=list)
    said: list[bytes] = field(default_factory=list)
    record: ProcessesFile = field(init=False)
    clock: Clock = field(default_factory=SystemClock)
    turns: Turns = field(default_factory=Turns)
    longest_start: float = inf
    kill_signal: int = signal.SIGKILL

    def __post_init__(self) -> None:
        self.record = ProcessesFile(self.folder / "processes.json", boot())

    def add(self, name: str, kind: str = SERVICE, replicas: int = 1, words: tuple[str, ...] = WELL) -> ReplicaSet:
        log = lambda one: self.folder / f"{one}.log"  # noqa: E731 - it is a parameter
        limits: dict[str, Any] = {"turns": self.turns, "longest_start": self.longest_start}
        context = SupervisorContext(self.clock, self.record, log, self._on_state, self._on_lines, **limits)

        async def command() -> Command:
            return Command(words, os.environ)

        def spec(number: int) -> ProcessSpec:
            probe = ready_line("tiny")
            return ProcessSpec(name, f"{name}-{number}", kind, command, probe, kill_signal=self.kill_signal)

        replica_set = self.fleet.add(ReplicaSet(name, kind, replicas, spec, context))
        replica_set.begin()
        return replica_set

    def _on_state(self, view: ProcessView) -> None:
        self.told.append((view.instance, view.state))
        self.fleet.notify()

    def _on_lines(self, instance: str, lines: list[bytes]) -> None:
        self.said.extend(lines)

    @property
    def states(self) -> dict[str, str]:
        return {view.instance: view.state for view in self.fleet.processes()}

    @property
    def pids(self) -> dict[str, int]:
        return {view.instance: view.pid for view in self.fleet.processes() if view.pid is not None}

    async def until(self, states: Mapping[str, str]) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.states != states:
                await self.fleet.changed().wait()


@asynccontextmanager
async def running(folder: Path, **more: Any) -> AsyncIterator[Watched]:
    watched = Watched(folder, **more)
    try:
        yield watched
    finally:
        pids = watched.pids
        await watched.fleet.end()
        for pid in pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, 0)
                raise AssertionError(f"{pid} is left")
        assert watched.record.left_behind() == []


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_what_is_killed_is_started_again(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        watched.add("tiny", replicas=2)
        await watched.until({"tiny-1": READY, "tiny-2": READY})
        before = watched.pids
        os.kill(before["tiny-2"], signal.SIGKILL)
        await watched.until({"tiny-1": READY, "tiny-2": BACKING_OFF})
        assert watched.fleet.processes()[1].why == "killed by SIGKILL"
        await watched.until({"tiny-1": READY, "tiny-2": READY})
        view = watched.fleet.processes()[1]
        assert (view.restarts, view.why) == (1, "")
        assert view.address.endswith(f":{view.pid}")
        assert watched.pids["tiny-1"] == before["tiny-1"]


async def test_a_crash_loop_says_why_and_does_not_spin(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        watched.add("tiny", words=BROKEN)
        async with asyncio.timeout(PATIENCE):
            while watched.fleet.processes()[0].restarts < 4:
                await watched.fleet.changed().wait()
        await watched.until({"tiny-1": BACKING_OFF})
        assert watched.fleet.processes()[0].why == "cannot find the bazaar"
        before = watched.fleet.processes()[0].restarts
        await asyncio.sleep(0.5)
        assert watched.fleet.processes()[0].restarts <= before + 1


async def test_a_program_that_is_not_there_is_a_failure_that_is_tried_again(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        watched.add("tiny", words=MISSING)
        await watched.until({"tiny-1": FAILED})
        assert "No such file" in watched.fleet.processes()[0].why


def on_cue(step: str) -> tuple[str, ...]:
    """A process that takes a step of its start for each line of the file `cue` in its folder, and is then ready."""
    program = f"""
import os, time
done = 0
while True:
    cues = open(os.environ["CUE"]).read().split()
    if done < len(cues):
        if cues[done] == "ready":
            print("ready tiny 127.0.0.1:1", flush=True)
        else:
            {step}
        done += 1
        open(os.environ["CUE"] + ".done", "w").write(str(done))
    time.sleep(0.005)
"""
    return sys.executable, "-I", "-S", "-c", program


SAYS = "print('a step', flush=True)"
WORKS = "began = time.process_time()\n            while time.process_time() < began + 0.3: pass"


@dataclass
class Cues:
    """Tells a process when to get on, and waits until it has."""

    file: Path
    given: list[str] = field(default_factory=list)

    async def give(self, cue: str) -> None:
        self.given.append(cue)
        self.file.write_text(" ".join(self.given))
        done = self.file.with_name(f"{self.file.name}.done")
        async with asyncio.timeout(PATIENCE):
            while not done.exists() or done.read_text() != str(len(self.given)):
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("step", [SAYS, WORKS], ids=["it writes", "it works"])
async def test_a_start_that_gets_on_is_given_all_the_time_it_needs(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_module, "_WATCH", 0.005)
    cues, clock = Cues(tmp_path / "cue"), FakeClock()
    cues.file.touch()
    monkeypatch.setenv("CUE", str(cues.file))
    async with running(tmp_path, clock=clock) as watched:
        watched.add("tiny", words=on_cue(step))
        for _ in range(4):
            await cues.give("step")
            await asyncio.sleep(0.1)  # until it was looked at
            clock.advance(START_LIMIT - 1)
        await cues.give("ready")
        await watched.until({"tiny-1": READY})
        assert watched.fleet.processes()[0].restarts == 0


async def test_a_start_that_stands_still_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_module, "_WATCH", 0.005)
    cues, clock = Cues(tmp_path / "cue"), FakeClock()
    cues.file.touch()
    monkeypatch.setenv("CUE", str(cues.file))
    async with running(tmp_path, clock=clock) as watched:
        watched.add("tiny", words=on_cue(SAYS))
        await cues.give("step")
        async with asyncio.timeout(PATIENCE):
            while watched.states != {"tiny-1": BACKING_OFF}:
                clock.advance(START_LIMIT + 1)  # again, if its step was only now seen
                await asyncio.sleep(0.02)
        assert watched.fleet.processes()[0].why == f"not ready, and no progress for {START_LIMIT:g} s"


@pytest.mark.parametrize(("kind", "anew"), [(SERVICE, True), (ENGINE, False)])
async def test_a_start_that_gets_on_for_ever_is_started_anew_unless_it_is_an_engine(
    tmp_path: Path, kind: str, anew: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_module, "_WATCH", 0.005)
    cues, clock = Cues(tmp_path / "cue"), FakeClock()
    cues.file.touch()
    monkeypatch.setenv("CUE", str(cues.file))
    async with running(tmp_path, clock=clock, longest_start=START_LIMIT) as watched:
        watched.add("tiny", kind, words=on_cue(WORKS))
        await cues.give("step")
        clock.advance(START_LIMIT - 1)
        await cues.give("step")
        clock.advance(2)
        if anew:
            await watched.until({"tiny-1": BACKING_OFF})
            assert watched.fleet.processes()[0].why == f"not ready after {START_LIMIT:g} s"
        else:
            await cues.give("ready")
            await watched.until({"tiny-1": READY})


async def test_only_so_many_start_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cues = Cues(tmp_path / "cue")
    cues.file.touch()
    monkeypatch.setenv("CUE", str(cues.file))
    async with running(tmp_path, turns=Turns(2)) as watched:
        watched.add("tiny", replicas=5, words=on_cue(SAYS))
        async with asyncio.timeout(PATIENCE):
            while len(watched.pids) < 2:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(watched.pids) == 2, "the others wait for their turn"
        cues.given.append("ready")
        cues.file.write_text("ready")
        await watched.until({f"tiny-{number}": READY for number in range(1, 6)})


async def test_one_that_does_not_end_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        replica_set = watched.add("tiny", words=STUBBORN)
        await watched.until({"tiny-1": READY})
        pid = watched.pids["tiny-1"]
        await replica_set.stop(0.2)
        assert not runs(pid)
        assert watched.states == {"tiny-1": STOPPED}


def deaf(then: str, ready: str = "echo ready tiny 127.0.0.1:1") -> tuple[str, ...]:
    """A program that does not hear SIGTERM, and does what is given at SIGUSR1."""
    return ("/bin/sh", "-c", f"trap '' TERM; trap '{then}' USR1; {ready}; while :; do sleep 0.05; done")


async def test_one_that_does_not_end_in_time_gets_its_own_kill_signal(tmp_path: Path) -> None:
    async with running(tmp_path, kill_signal=signal.SIGUSR1) as watched:
        replica_set = watched.add("tiny", words=deaf(f"echo gone > {tmp_path}/last; exit 0"))
        await watched.until({"tiny-1": READY})
        await replica_set.stop(0.2)
        assert watched.states == {"tiny-1": STOPPED}
        assert (tmp_path / "last").read_text() == "gone\n"


async def test_one_that_does_not_hear_its_kill_signal_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_module, "KILLED", 0.2)
    async with running(tmp_path, kill_signal=signal.SIGUSR1) as watched:
        replica_set = watched.add("tiny", words=deaf(""))
        await watched.until({"tiny-1": READY})
        pid = watched.pids["tiny-1"]
        await replica_set.stop(0.2)
        assert not runs(pid)


async def test_a_start_that_is_given_up_gets_its_own_kill_signal(tmp_path: Path) -> None:
    async with running(tmp_path, kill_signal=signal.SIGUSR1, longest_start=0.5) as watched:
        words = deaf(f"echo gone > {tmp_path}/last; exit 0", ready="while :; do sleep 0.05; echo on; done")
        watched.add("tiny", words=words)
        async with asyncio.timeout(PATIENCE):
            while watched.fleet.processes()[0].restarts == 0:
                await watched.fleet.changed().wait()
        assert (tmp_path / "last").read_text() == "gone\n"


async def test_a_service_that_was_stopped_stays_so_until_it_is_started(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        watched.add("tiny", replicas=2)
        await watched.until({"tiny-1": READY, "tiny-2": READY})
        await watched.fleet.stop("tiny")
        assert watched.states == {"tiny-1": STOPPED, "tiny-2": STOPPED}
        assert watched.pids == {}
        await watched.fleet.scale("tiny", 3)
        assert watched.states == {"tiny-1": STOPPED, "tiny-2": STOPPED, "tiny-3": STOPPED}
        await watched.fleet.scale("tiny", 2)
        with pytest.raises(ConfigurationError, match="tiny is stopped; start it with `souk start tiny`"):
            await watched.fleet.restart("tiny", lambda line: None)
        await watched.fleet.start("tiny")
        assert watched.states == {"tiny-1": READY, "tiny-2": READY}
        assert [view.restarts for view in watched.fleet.processes()] == [0, 0]


async def test_a_rolling_restart_has_the_new_one_ready_before_the_old_one_drains(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        watched.add("tiny", replicas=2)
        await watched.until({"tiny-1": READY, "tiny-2": READY})
        before, lines = set(watched.pids.values()), list[str]()
        watched.told.clear()
        await watched.fleet.restart("tiny", lines.append)
        assert set(watched.states.values()) == {READY}
        assert len(watched.states) == 2
        assert not before & set(watched.pids.values())
        order = [told for told in watched.told if told[1] in {READY, "draining"}]
        assert order == [("tiny-3", READY), ("tiny-1", "draining"), ("tiny-1", READY), ("tiny-2", "draining")]
        assert len(lines) == 4


async def test_scaling_up_and_down(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        watched.add("tiny")
        await watched.until({"tiny-1": READY})
        first = watched.pids["tiny-1"]
        await watched.fleet.scale("tiny", 3)
        assert watched.states == {"tiny-1": READY, "tiny-2": READY, "tiny-3": READY}
        await watched.fleet.scale("tiny", 1)
        assert watched.pids == {"tiny-1": first}


async def test_a_new_one_that_does_not_come_up_leaves_things_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_module, "GIVE_UP", 0.1)
    async with running(tmp_path) as watched:
        flag = tmp_path / "broken"
        words = ("/bin/sh", "-c", f"test -e {flag} && echo out of figs && exit 1; echo ready tiny :1; exec sleep 600")
        watched.add("tiny", words=words)
        await watched.until({"tiny-1": READY})
        before = watched.pids
        flag.touch()
        for change in (watched.fleet.scale("tiny", 2), watched.fleet.restart("tiny", lambda line: None)):
            with pytest.raises(ConfigurationError, match="tiny-2 does not start: out of figs"):
                await change
        assert watched.pids == before


@pytest.mark.parametrize(
    ("name", "count", "words"),
    [
        ("tinny", 2, "no service 'tinny' in this fleet; the nearest is 'tiny'"),
        ("tiny", 0, "1 to 64 processes, not 0"),
        ("stall", 2, "of 'stall' there is one"),
        ("tiny", 9, "no room"),
    ],
)
async def test_what_cannot_be_is_refused_in_a_line(tmp_path: Path, name: str, count: int, words: str) -> None:
    def admit(replicas: Mapping[str, int]) -> None:
        if sum(replicas.values()) > 9:
            raise ConfigurationError("no room")

    async with running(tmp_path) as watched:
        watched.add("tiny")
        watched.add("stall", ENGINE)
        watched.fleet.admit = admit
        with pytest.raises(ConfigurationError, match=words):
            await watched.fleet.scale(name, count)


async def test_what_there_is_one_of_stops_and_starts(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        watched.add("stall", ENGINE)
        await watched.until({"stall-1": READY})
        before = watched.pids
        await watched.fleet.restart("stall", lambda line: None)
        assert watched.pids.keys() == before.keys()
        assert watched.pids != before


async def test_gateways_end_first_and_engines_last(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        for name, kind in (("base", ENGINE), ("first", SERVICE), ("second", SERVICE), ("door", GATEWAY)):
            watched.add(name, kind)
        await watched.until({f"{name}-1": READY for name in ("base", "first", "second", "door")})
        await watched.fleet.end()
        ended = [name for name, state in watched.told if state == STOPPED]
        assert ended == ["door-1", "second-1", "first-1", "base-1"]


async def test_whatever_hangs_it_is_all_over_by_the_last_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "ENDING", ((GATEWAY, 0.2), (SERVICE, 0.4), (ENGINE, 0.6)))
    monkeypatch.setattr(fleet_module, "ABREAST", 0.05)
    async with running(tmp_path) as watched:
        for name, kind in (("base", ENGINE), ("first", SERVICE), ("second", SERVICE), ("door", GATEWAY)):
            watched.add(name, kind, words=STUBBORN)
        await watched.until({f"{name}-1": READY for name in ("base", "first", "second", "door")})
        began = asyncio.get_running_loop().time()
        await watched.fleet.end()
        assert 0.6 <= asyncio.get_running_loop().time() - began < 3


async def test_one_that_never_gets_ready_can_be_ended(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        watched.add("tiny", words=("/bin/sleep", "600"))
        await asyncio.sleep(0.05)
        assert watched.states == {"tiny-1": "starting"}


async def test_a_line_of_megabytes_is_cut_and_says_so_and_what_follows_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        watched.add("tiny", words=TALKATIVE)
        async with asyncio.timeout(PATIENCE):
            while watched.fleet.processes()[0].restarts == 0:
                await watched.fleet.changed().wait()
        assert b"x" * 65_536 + b"... [cut: 2934464 bytes]" in watched.said
        assert any(b"EOFError" in line for line in watched.said)


async def test_all_of_it_is_in_one_process_group(tmp_path: Path) -> None:
    async with running(tmp_path) as watched:
        watched.add("tiny", replicas=3)
        await watched.until({f"tiny-{number}": READY for number in (1, 2, 3)})
        assert {os.getpgid(pid) for pid in watched.pids.values()} == {os.getpgrp()}
