"""A share that a sidecar does not take: the canary is rolled back, and says which sidecar and why."""

from pathlib import Path

from souk.mesh.canary.ports import ShareRejected
from souk.mesh.canary.release import CanaryRelease, CanaryShare
from souk.mesh.canary.steering.record import CanaryRecord
from souk.mesh.canary.steering.run import CanaryRun, CanarySurroundings
from souk.mesh.canary.steering.states import CanaryEvent, CanaryState
from souk.mesh.canary.steering.step_watch import StepWatch
from souk.mesh.canary.steering.store import CanaryStore
from souk.testing.clocks import FakeClock
from tests.mesh.canary.model_fleet import ModelAlarms, ModelFleet, ModelKeeper, plan

WHY = "the sidecar of order-1 rejected its routes"


class Rejecting(ModelFleet):
    """A fleet in which a sidecar takes no share."""

    async def route(self, release: CanaryRelease, share: CanaryShare) -> None:
        await super().route(release, share)
        raise ShareRejected(WHY)


async def test_it_is_rolled_back(tmp_path: Path) -> None:
    clock, fleet = FakeClock(), Rejecting()
    record = CanaryRecord(plan(), clock.now(), clock.now())
    surroundings = CanarySurroundings(fleet, ModelAlarms(fleet), ModelKeeper(CanaryStore(tmp_path), fleet), clock)
    run = CanaryRun(record, StepWatch(record, fleet), surroundings)
    for _ in range(3):
        await run.tick()
    assert run.record.state is CanaryState.ROLLING_BACK
    assert (run.record.decisions[-1].event, run.record.decisions[-1].why) == (CanaryEvent.REJECTED, WHY)
    await run.tick()
    assert (run.record.state, fleet.share) == (CanaryState.ROLLED_BACK, None)
