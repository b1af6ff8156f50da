"""A fleet that is slow to say whether there is an alarm: no bad version stays, and no good one goes on without it."""

import asyncio
from pathlib import Path

import pytest

from souk.mesh.canary.release import CanaryRelease
from souk.mesh.canary.steering import alarm_watch
from souk.mesh.canary.steering.record import CanaryRecord
from souk.mesh.canary.steering.run import CanaryRun, CanarySurroundings
from souk.mesh.canary.steering.states import SHARING, CanaryState
from souk.mesh.canary.steering.step_watch import StepWatch
from souk.mesh.canary.steering.store import CanaryStore
from souk.testing.clocks import FakeClock
from tests.mesh.canary.model_fleet import ModelFleet, ModelKeeper, plan

PATIENCE = 60.0


class SlowAlarms:
    """Answers when a test says so."""

    def __init__(self) -> None:
        self.answers = asyncio.Queue[tuple[str, ...]]()

    async def raised(self, release: CanaryRelease, since: int) -> tuple[str, ...]:
        return await self.answers.get()


class Canary:
    """A canary in its first step, whose fleet does not answer whether there is an alarm."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.fleet, self.alarms = FakeClock(), ModelFleet(), SlowAlarms()
        store = CanaryStore(folder)
        record = CanaryRecord(plan(steps=(50.0, 100.0)), self.clock.now(), self.clock.now())
        surroundings = CanarySurroundings(self.fleet, self.alarms, ModelKeeper(store, self.fleet), self.clock)
        self.run = CanaryRun(record, StepWatch(record, self.fleet), surroundings)

    @property
    def state(self) -> CanaryState:
        return self.run.record.state

    async def second(self) -> None:
        self.fleet.serve()
        self.clock.advance(1.0)
        await self.run.tick()


@pytest.fixture
async def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Canary:
    monkeypatch.setattr(alarm_watch, "AWAITED", 0.01)
    made = Canary(tmp_path)
    async with asyncio.timeout(PATIENCE):
        while made.state not in SHARING:
            await made.second()
    return made


async def test_a_bad_version_is_rolled_back_meanwhile(canary: Canary) -> None:
    canary.fleet.failing = 0.5
    async with asyncio.timeout(PATIENCE):
        while canary.state in SHARING:
            await canary.second()
    assert canary.state is CanaryState.ROLLING_BACK
    assert "failures>1%" in canary.run.record.decisions[-1].why


async def test_a_good_one_goes_on_when_they_have_answered(canary: Canary) -> None:
    async with asyncio.timeout(PATIENCE):
        for _ in range(20):
            await canary.second()
        assert (canary.state, canary.run.record.step) == (CanaryState.STEPPING, 0)
        assert "not known yet" in canary.run.trouble
        canary.alarms.answers.put_nowait(())
        while canary.run.record.step == 0:
            await canary.second()
    assert canary.run.trouble == ""


async def test_an_alarm_that_comes_late_counts(canary: Canary) -> None:
    await canary.second()
    canary.alarms.answers.put_nowait(("place-order:ORD-1:1 is parked",))
    async with asyncio.timeout(PATIENCE):
        while canary.state in SHARING:
            await canary.second()
    assert canary.run.record.decisions[-1].why == "place-order:ORD-1:1 is parked"
