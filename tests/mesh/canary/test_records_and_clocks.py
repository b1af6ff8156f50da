"""What a canary keeps of its settings, and by which clock it waits for its instances."""

from pathlib import Path

import pytest

from souk.kernel.clock import MICROSECONDS
from souk.mesh.canary.steering.controller import CanaryController
from souk.mesh.canary.steering.record import CanaryRecord
from souk.mesh.canary.steering.run import START_PATIENCE, CanaryRun, CanarySurroundings
from souk.mesh.canary.steering.states import FINAL, CanaryEvent, CanaryState
from souk.mesh.canary.steering.step_watch import StepWatch
from souk.mesh.canary.steering.store import FILE, FOLDER, CanaryStore
from souk.testing.clocks import FakeClock
from tests.mesh.canary.model_fleet import ModelAlarms, ModelFleet, ModelKeeper, plan

SECRET = b"green"
"""The value of a setting of the plan."""


class WallClock(FakeClock):
    """A clock whose wall can be set."""

    jump = 0.0

    def now(self) -> int:
        return super().now() + round(self.jump * MICROSECONDS)


class Waiting:
    """A canary that is starting, and whose instances are never ready."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.fleet, self.store = WallClock(), ModelFleet(ready=0), CanaryStore(folder)
        self.run = self.run_of(CanaryRecord(plan(), self.clock.now(), self.clock.now()))

    def run_of(self, record: CanaryRecord) -> CanaryRun:
        keeper = ModelKeeper(self.store, self.fleet)
        surroundings = CanarySurroundings(self.fleet, ModelAlarms(self.fleet), keeper, self.clock)
        return CanaryRun(record, StepWatch(record, self.fleet), surroundings)

    async def after(self, seconds: float) -> CanaryState:
        self.clock.advance(seconds)
        await self.run.tick()
        return self.run.record.state


@pytest.fixture
async def waiting(tmp_path: Path) -> Waiting:
    made = Waiting(tmp_path)
    await made.after(0.0)
    assert await made.after(0.0) is CanaryState.STARTING
    return made


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
async def test_a_clock_that_is_set_neither_ends_nor_prolongs_the_wait_for_instances(
    waiting: Waiting, jump: float
) -> None:
    waiting.clock.jump = jump
    assert await waiting.after(START_PATIENCE - 1) is CanaryState.STARTING
    assert await waiting.after(2) is CanaryState.ROLLING_BACK


async def test_the_next_control_plane_waits_anew(waiting: Waiting) -> None:
    assert await waiting.after(START_PATIENCE - 1) is CanaryState.STARTING
    waiting.run = waiting.run_of(waiting.store.read()["payment"])
    assert await waiting.after(START_PATIENCE - 1) is CanaryState.STARTING
    assert await waiting.after(2) is CanaryState.ROLLING_BACK


async def test_values_of_settings_are_kept_as_long_as_the_canary_needs_them(waiting: Waiting, tmp_path: Path) -> None:
    file = tmp_path / FOLDER / FILE
    assert SECRET in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    await waiting.run.decide(CanaryEvent.ABORT, "because", "ana")
    assert await waiting.after(1.0) in FINAL
    assert SECRET not in file.read_bytes()
    assert waiting.run.record.plan.release.settings == {"COLOUR": ""}


async def test_those_of_canaries_that_ended_before_are_forgotten_at_a_start(tmp_path: Path) -> None:
    store, clock, fleet = CanaryStore(tmp_path), FakeClock(), ModelFleet()
    store.write([CanaryRecord(plan(), clock.now(), clock.now(), CanaryState.PROMOTED)])
    assert SECRET in (tmp_path / FOLDER / FILE).read_bytes()
    async with CanaryController(["payment"], store, fleet, fleet, ModelAlarms(fleet), clock).running():
        assert SECRET not in (tmp_path / FOLDER / FILE).read_bytes()
