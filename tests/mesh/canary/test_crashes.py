"""A canary whose control plane dies: at every point, the next one goes on to the same end."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from souk.mesh.canary.steering.record import CanaryRecord
from souk.mesh.canary.steering.run import CanaryRun, CanarySurroundings
from souk.mesh.canary.steering.states import FINAL, SHARING, CanaryEvent, CanaryState
from souk.mesh.canary.steering.step_watch import StepWatch
from souk.mesh.canary.steering.store import CanaryStore
from souk.testing.clocks import FakeClock
from tests.mesh.canary.model_fleet import Killed, ModelAlarms, ModelFleet, ModelKeeper, plan

MOST_TICKS = 400
Behave = Callable[[ModelFleet, int], None]


def good(fleet: ModelFleet, second: int) -> None:
    pass


def bad(fleet: ModelFleet, second: int) -> None:
    fleet.failing = 0.05


def crashing_at_start(fleet: ModelFleet, second: int) -> None:
    fleet.crashed = "payment-v2-1 has crashed 5 times"


def crashing_later(fleet: ModelFleet, second: int) -> None:
    if fleet.share and fleet.share.percent >= 50:
        fleet.crashed = "payment-v2-1 has crashed 5 times"


def parking(fleet: ModelFleet, second: int) -> None:
    if fleet.share:
        fleet.raised = ("place-order:ORD-1:1 is parked",)


SCENARIOS: dict[str, tuple[Behave, CanaryState]] = {
    "good": (good, CanaryState.PROMOTED),
    "bad": (bad, CanaryState.ROLLED_BACK),
    "crashing at start": (crashing_at_start, CanaryState.FAILED),
    "crashing later": (crashing_later, CanaryState.ROLLED_BACK),
    "parking": (parking, CanaryState.ROLLED_BACK),
}
WANTED = {
    "start": {CanaryState.STARTING, *SHARING},
    "route": {CanaryState.STARTING, *SHARING, CanaryState.ROLLING_BACK, CanaryState.PROMOTING},
    "adopt": {CanaryState.PROMOTING},
    "remove": {CanaryState.ROLLING_BACK},
}
"""The states on the disk in which an effect may begin."""


async def lives(folder: Path, scenario: str, deaths: list[int]) -> tuple[ModelFleet, CanaryRecord]:
    """Takes a canary to its end, in one life more than there are deaths, each at that point of its life."""
    behave, _ = SCENARIOS[scenario]
    fleet, store, clock = ModelFleet(), CanaryStore(folder), FakeClock()
    fleet.check = lambda effect: _require_recorded(store, effect)
    store.write([CanaryRecord(plan(mirrored=scenario == "good"), clock.now(), clock.now())])
    for die_at in (*deaths, None):
        fleet.die_at, fleet.points = die_at, 0
        record = store.read()["payment"]
        surroundings = CanarySurroundings(fleet, ModelAlarms(fleet), ModelKeeper(store, fleet), clock)
        run = CanaryRun(record, StepWatch(record, fleet), surroundings)
        fleet.share = None  # the routes of a control plane are gone with it
        with suppress(Killed):
            run.restore()
            assert record.state not in SHARING or fleet.share == record.share
            await live(run, fleet, clock, behave)
    return fleet, store.read()["payment"]


async def live(run: CanaryRun, fleet: ModelFleet, clock: FakeClock, behave: Behave) -> None:
    for second in range(MOST_TICKS):
        behave(fleet, second)
        fleet.serve(0.2)
        clock.advance(0.5)
        await run.tick()
        assert not run.trouble
        if run.record.state in FINAL:
            break


def _require_recorded(store: CanaryStore, effect: str) -> None:
    assert store.read()["payment"].state in WANTED[effect], effect


def _require_end(fleet: ModelFleet, record: CanaryRecord, scenario: str) -> None:
    assert record.state is SCENARIOS[scenario][1]
    assert (fleet.running, fleet.share) == (False, None)
    assert fleet.adopted == (record.state is CanaryState.PROMOTED)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_killed_at_any_point_it_ends_as_it_would_have(tmp_path: Path, scenario: str) -> None:
    undisturbed, record = await lives(tmp_path / "whole", scenario, [])
    _require_end(undisturbed, record, scenario)
    for point in range(1, undisturbed.points + 1):
        fleet, record = await lives(tmp_path / str(point), scenario, [point])
        _require_end(fleet, record, scenario)


@pytest.mark.parametrize("scenario", ["bad", "parking"])
async def test_killed_again_and_again_in_the_midst_of_a_rollback_it_is_rolled_back(
    tmp_path: Path, scenario: str
) -> None:
    for point in (2, 3, 4):
        fleet, record = await lives(tmp_path / str(point), scenario, [10, point, point, 1, 2])
        _require_end(fleet, record, scenario)


async def test_a_good_canary_goes_through_each_of_its_shares_in_order(tmp_path: Path) -> None:
    _, record = await lives(tmp_path, "good", [])
    shown = [(one.event, one.percent) for one in record.decisions if one.event is not CanaryEvent.HELD]
    assert shown == [
        (CanaryEvent.BEGUN, 0),
        (CanaryEvent.READY, 0),
        (CanaryEvent.ADVANCED, 0),
        (CanaryEvent.ADVANCED, 10),
        (CanaryEvent.ADVANCED, 50),
        (CanaryEvent.PASSED, 100),
        (CanaryEvent.ADOPTED, 100),
    ]
    assert all(one.figures.canary.calls >= 100 for one in record.decisions if one.event is CanaryEvent.ADVANCED)


async def test_a_bad_version_loses_its_calls_although_the_supervisor_does_not_answer(tmp_path: Path) -> None:
    fleet, store, clock = ModelFleet(), CanaryStore(tmp_path), FakeClock()
    record = CanaryRecord(plan(), clock.now(), clock.now())
    surroundings = CanarySurroundings(fleet, ModelAlarms(fleet), ModelKeeper(store, fleet), clock)
    run = CanaryRun(record, StepWatch(record, fleet), surroundings)
    for _ in range(4):
        await run.tick()
    assert run.record.used
    fleet.unreachable, fleet.failing = True, 1.0
    fleet.serve()
    for _ in range(2):
        await run.tick()
    assert (run.record.state, fleet.share, fleet.running) == (CanaryState.ROLLING_BACK, None, True)
    assert run.trouble == "the supervisor does not answer"
    fleet.unreachable = False
    await run.tick()
    assert (run.record.state, fleet.running) == (CanaryState.ROLLED_BACK, False)


async def test_a_bad_version_loses_its_calls_although_the_disk_is_full(tmp_path: Path) -> None:
    fleet, store, clock = ModelFleet(), CanaryStore(tmp_path), FakeClock()
    record, keeper = CanaryRecord(plan(), clock.now(), clock.now()), ModelKeeper(store, fleet)
    run = CanaryRun(record, StepWatch(record, fleet), CanarySurroundings(fleet, ModelAlarms(fleet), keeper, clock))
    for _ in range(4):
        await run.tick()
    keeper.full, fleet.failing = True, 1.0
    fleet.serve()
    for _ in range(2):
        await run.tick()
    assert (run.record.state, fleet.share, run.trouble) == (CanaryState.ROLLING_BACK, None, "the disk is full")
    keeper.full = False
    await run.tick()
    assert store.read()["payment"].state is CanaryState.ROLLED_BACK
