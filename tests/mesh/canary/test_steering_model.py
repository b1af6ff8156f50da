"""A canary under operators, crashes, a full disk and a fleet that comes and goes: what holds whatever happens."""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from souk.kernel.errors import ConfigurationError
from souk.kernel.state_machine import IllegalTransition
from souk.mesh.canary.steering.record import CanaryRecord
from souk.mesh.canary.steering.run import CanaryRun, CanarySurroundings
from souk.mesh.canary.steering.states import CANARY, FINAL, SHARING, CanaryEvent, CanaryState
from souk.mesh.canary.steering.step_watch import StepWatch
from souk.mesh.canary.steering.store import CanaryStore
from souk.testing.clocks import FakeClock
from tests.mesh.canary.model_fleet import ModelAlarms, ModelFleet, ModelKeeper, plan
from tests.properties import examples

OPERATORS = (CanaryEvent.PAUSE, CanaryEvent.RESUME, CanaryEvent.PROMOTE, CanaryEvent.ABORT)
ENOUGH = 40


class CanaryModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.fleet, self.clock, self.store = ModelFleet(), FakeClock(), CanaryStore(Path(self.folder.name))
        self.keeper = ModelKeeper(self.store, self.fleet)
        self.served, self.promoted_by_hand = False, False
        self.ended: CanaryRecord | None = None
        self.run_from(CanaryRecord(plan(), self.clock.now(), self.clock.now()))
        self.store.write([self.run.record])

    def teardown(self) -> None:
        self.folder.cleanup()

    def run_from(self, record: CanaryRecord) -> None:
        surroundings = CanarySurroundings(self.fleet, ModelAlarms(self.fleet), self.keeper, self.clock)
        self.run = CanaryRun(record, StepWatch(record, self.fleet), surroundings)

    @property
    def state(self) -> CanaryState:
        return self.run.record.state

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        asyncio.run(self.run.tick())

    @rule(seconds=st.sampled_from([0.05, 0.5, 2.0]), failing=st.sampled_from([0.0, 0.0, 0.05, 1.0]))
    def calls_are_made(self, seconds: float, failing: float) -> None:
        self.fleet.failing = failing
        self.fleet.serve(seconds)
        self.served = self.served or bool(self.fleet.share)

    @rule(event=st.sampled_from(OPERATORS))
    def operator_decides(self, event: CanaryEvent) -> None:
        allowed = CANARY.allows(self.state, event)
        with suppress(ConfigurationError):
            try:
                asyncio.run(self.run.decide(event, "because", "ana"))
            except IllegalTransition:
                assert not allowed
            else:
                assert allowed
                self.promoted_by_hand = self.promoted_by_hand or event is CanaryEvent.PROMOTE

    @precondition(lambda self: not self.fleet.crashed)
    @rule()
    def the_version_crashes(self) -> None:
        self.fleet.crashed = "payment-v2-1 has crashed 5 times"

    @rule(raised=st.booleans())
    def a_saga_is_parked(self, raised: bool) -> None:
        self.fleet.raised = ("place-order:ORD-1:1 is parked",) if raised else ()

    @rule(away=st.booleans(), full=st.booleans())
    def surroundings_fail(self, away: bool, full: bool) -> None:
        self.fleet.unreachable, self.keeper.full = away, full

    @rule()
    def the_control_plane_is_killed(self) -> None:
        self.run_from(self.store.read()["payment"])

    @rule()
    def all_is_well_again(self) -> None:
        """Whatever happened, a canary that turned back or was promoted comes to its end once everything answers."""
        self.fleet.unreachable = self.keeper.full = False
        for _ in range(5):
            asyncio.run(self.run.tick())
        assert self.state not in (CanaryState.ROLLING_BACK, CanaryState.PROMOTING, CanaryState.PLANNED)

    @invariant()
    def an_end_is_an_end(self) -> None:
        if self.ended is not None:
            assert self.run.record == self.ended
        elif self.state in FINAL and self.store.read()["payment"].state in FINAL:
            self.ended = self.run.record

    @invariant()
    def the_record_is_on_the_disk(self) -> None:
        if not self.keeper.full and self.state is not CanaryState.ROLLING_BACK:
            assert self.store.read()["payment"] == self.run.record

    @invariant()
    def the_fleet_is_as_the_state_says(self) -> None:
        if self.state in FINAL:
            assert (self.fleet.running, self.fleet.share) == (False, None)
            assert self.fleet.adopted == (self.state is CanaryState.PROMOTED)
        if self.fleet.share is not None and self.state in SHARING:
            shares = self.run.record.plan.shares
            assert self.fleet.share in shares[: self.run.record.step + 1]

    @invariant()
    def without_calls_nobody_but_an_operator_promotes(self) -> None:
        if not self.served and not self.promoted_by_hand:
            assert self.run.record.step == 0
            assert self.state not in (CanaryState.PROMOTING, CanaryState.PROMOTED)


TestCanaryModel = CanaryModel.TestCase
TestCanaryModel.settings = settings(max_examples=examples(100), stateful_step_count=ENOUGH, deadline=None)


def test_the_diagram_shows_every_state() -> None:
    assert all(str(state) in CANARY.diagram() for state in CanaryState)
