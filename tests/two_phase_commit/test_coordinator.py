"""Two-phase commit over real PostgreSQL databases: both or neither, whoever dies when."""

import asyncio

import grpc
import pytest

from souk.kernel.clock import SystemClock
from souk.kernel.errors import Outcome
from souk.saga.definition import SagaRef
from souk.saga.states import StepState
from souk.saga.store import SagaOutcome
from souk.two_phase_commit.fault_points import two_phase_fault_points
from souk.two_phase_commit.resolver import BranchFate, TwoPhaseResolver
from tests.two_phase_commit.conftest import LONG, Bank, Town, lost, refusal

COMMIT_POINTS = [
    *(f"pay/started/{when}" for when in ("before", "after")),
    *(f"pay/{bank}/prepare/{when}" for bank in ("left", "right") for when in ("before", "after")),
    *(f"pay/decided/{when}" for when in ("before", "after")),
    *(f"pay/{bank}/commit/{when}" for bank in ("left", "right") for when in ("before", "after")),
    *(f"pay/ended/{when}" for when in ("before", "after")),
]
ABORT_POINTS = [
    *(f"pay/{bank}/roll back/{when}" for bank in ("left",) for when in ("before", "after")),
    *(f"pay/aborted/{when}" for when in ("before", "after")),
]


async def settled(town: Town, *, committed: int) -> None:
    """Checks that both or neither happened, and that nothing is left locked."""
    assert await town.values() == (committed, committed)
    assert await town.standing() == 0


async def test_both_happen(town: Town) -> None:
    progress = await town.pay(town.coordinator())
    assert progress.outcome is SagaOutcome.COMMITTED
    assert progress.ended
    assert await town.notes() == ["decided left,right", "ended"]
    await settled(town, committed=1)
    assert town.left.calls == town.right.calls == ["prepare", "commit"]


@pytest.mark.parametrize("which", [0, 1])
async def test_a_refusal_of_either_stops_both(town: Town, which: int) -> None:
    town.banks[which].full = True
    progress = await town.pay(town.coordinator())
    assert progress.outcome is SagaOutcome.REJECTED
    assert progress.refusal is not None
    assert (progress.refusal.step, progress.refusal.reason) == (town.banks[which].name, "FULL")
    assert await town.notes() == ["aborted FULL", "ended"]
    await settled(town, committed=0)
    assert town.banks[which].calls == ["prepare"], "who refused holds nothing, and is not called again"


def test_the_points_are_those_of_the_action(town: Town) -> None:
    listed = set(two_phase_fault_points(town.action()))
    assert {*COMMIT_POINTS, *ABORT_POINTS} <= listed
    assert listed - {*COMMIT_POINTS, *ABORT_POINTS} == {f"pay/right/roll back/{when}" for when in ("before", "after")}


@pytest.mark.parametrize("point", COMMIT_POINTS)
async def test_a_coordinator_that_dies_leaves_both_or_neither(town: Town, point: str) -> None:
    await town.dies(point)
    await town.take_over()
    decided = COMMIT_POINTS.index(point) > COMMIT_POINTS.index("pay/decided/before")
    await settled(town, committed=int(decided))
    notes = await town.notes()
    if point != "pay/started/before":
        assert notes == (["decided left,right", "ended"] if decided else ["aborted COORDINATOR_LOST", "ended"])


@pytest.mark.parametrize("point", ABORT_POINTS)
async def test_a_coordinator_that_dies_while_it_aborts_leaves_neither(town: Town, point: str) -> None:
    town.right.full = True
    await town.dies(point)
    await town.take_over()
    await settled(town, committed=0)
    assert [note.split()[0] for note in await town.notes()] == ["aborted", "ended"]


async def test_while_the_coordinator_is_dead_the_rows_stay_locked(town: Town) -> None:
    await town.dies("pay/decided/before")
    assert await town.standing() == 2
    again = await town.pay(town.coordinator(), "S-2")
    assert again.outcome is SagaOutcome.REJECTED, "it could not get the rows within the time that it waits for a lock"
    await town.take_over()
    assert (await town.pay(town.coordinator(), "S-3")).outcome is SagaOutcome.COMMITTED


@pytest.mark.parametrize("bank", [0, 1])
@pytest.mark.parametrize("prepared", [False, True])
async def test_a_participant_that_dies_at_prepare_stops_both(town: Town, bank: int, *, prepared: bool) -> None:
    async def dies(what: str) -> None:
        if what == "prepare":
            raise lost()

    if prepared:
        town.banks[bank].after = dies
    else:
        town.banks[bank].before = dies
    assert (await town.pay(town.coordinator())).outcome is SagaOutcome.REJECTED
    await settled(town, committed=0)
    assert town.banks[bank].calls == ["prepare", "roll back"]


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_participant_that_dies_at_commit_is_asked_until_it_has_committed(
    town: Town, *, carried_out: bool
) -> None:
    left = 3

    async def dies(what: str) -> None:
        nonlocal left
        if what == "commit" and left:
            left -= 1
            raise lost(grpc.StatusCode.UNAVAILABLE, Outcome.UNKNOWN)

    if carried_out:
        town.right.after = dies
    else:
        town.right.before = dies
    assert (await town.pay(town.coordinator())).outcome is SagaOutcome.COMMITTED
    await settled(town, committed=1)
    assert town.left.calls.count("commit") == 1
    assert town.right.calls.count("commit") == 4


async def test_a_participant_that_cannot_be_reached_holds_nothing(town: Town) -> None:
    async def away(what: str) -> None:
        raise lost(grpc.StatusCode.UNAVAILABLE, Outcome.NOT_SENT)

    town.right.before = away
    progress = await town.pay(town.coordinator())
    assert progress.outcome is SagaOutcome.REJECTED
    assert town.right.calls == ["prepare"]
    await settled(town, committed=0)


async def test_a_prepare_that_arrives_after_the_roll_back_is_refused(town: Town) -> None:
    call = lost()
    late: list[asyncio.Task[object]] = []
    go = asyncio.Event()

    async def delayed(what: str) -> None:
        if what == "prepare" and not late:
            late.append(asyncio.ensure_future(_later(town.left, go)))
            raise call

    town.left.before = delayed
    assert (await town.pay(town.coordinator())).outcome is SagaOutcome.REJECTED
    go.set()
    with pytest.raises(Exception, match="ended already"):
        await late[0]
    await settled(town, committed=0)


async def _later(bank: Bank, go: asyncio.Event) -> None:
    async def work(tx: object) -> None:
        raise AssertionError("the work of a branch that has ended")

    await go.wait()
    await bank.participant.prepare("S-1:1", work)


async def test_a_slow_coordinator_that_was_taken_for_dead_decides_nothing(town: Town) -> None:
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow(what: str) -> None:
        if what == "prepare":
            reached.set()
            await go.wait()

    town.right.after = slow
    ref = await town.start(coordinator := town.coordinator())
    await reached.wait()
    await town.take_over()
    go.set()
    progress = await coordinator.wait_ended(ref, SystemClock().monotonic() + LONG)
    assert progress.outcome is SagaOutcome.REJECTED
    await settled(town, committed=0)
    assert await town.notes() == ["aborted COORDINATOR_LOST", "ended"]


async def test_another_replica_waits_for_it(town: Town) -> None:
    go = asyncio.Event()

    async def slow(what: str) -> None:
        await go.wait()

    town.right.before = slow
    ref = await town.start(town.coordinator())
    other = town.coordinator(owner="two")
    now = SystemClock().monotonic()
    assert (await other.wait(ref, now)).outcome is SagaOutcome.RUNNING
    go.set()
    assert (await other.wait(ref, now + LONG)).outcome is SagaOutcome.COMMITTED
    assert (await other.wait_ended(ref, now + LONG)).ended
    with pytest.raises(LookupError):
        await other.wait(SagaRef("pay", "unknown", 1), now)


async def test_a_branch_in_doubt_is_ended_as_the_record_says(town: Town) -> None:
    coordinator = town.coordinator()
    resolver = TwoPhaseResolver(town.left.participant, coordinator.decision, in_doubt_after=0.0)
    await town.dies("pay/left/prepare/after")
    assert await coordinator.decision("S-1:1") is BranchFate.OPEN
    assert await resolver.resolve() == 1, "without a decision it stays"
    assert await town.standing() == 1
    await town.take_over()
    assert await coordinator.decision("S-1:1") is BranchFate.ABORT

    await town.dies("pay/decided/after", "S-2")
    assert await coordinator.decision("S-2:1") is BranchFate.COMMIT
    assert await resolver.resolve() == 0
    assert await town.left.value() == 1
    await town.take_over()
    await settled(town, committed=1)


async def test_a_branch_that_no_record_knows_is_rolled_back(town: Town) -> None:
    async def work(tx: object) -> None:
        """Does nothing."""

    await town.left.participant.prepare("S-9:1", work)
    coordinator = town.coordinator()
    assert await coordinator.decision("S-9:1") is BranchFate.ABORT
    assert await TwoPhaseResolver(town.left.participant, coordinator.decision).resolve() == 0, "it is not in doubt yet"
    assert await town.standing() == 1
    assert await TwoPhaseResolver(town.left.participant, coordinator.decision, in_doubt_after=0.0).resolve() == 0
    assert await town.standing() == 0


async def test_while_the_record_cannot_be_read_a_branch_stays_prepared(town: Town) -> None:
    async def work(tx: object) -> None:
        """Does nothing."""

    async def away(key: str) -> BranchFate:
        raise lost()

    await town.left.participant.prepare("S-9:1", work)
    assert await TwoPhaseResolver(town.left.participant, away, in_doubt_after=0.0).resolve() == 1
    assert await town.standing() == 1


async def _refuses(what: str) -> None:
    if what in ("commit", "roll back"):
        raise refusal("TRANSACTION_NOT_FOUND")


async def test_a_commit_that_is_refused_for_good_waits_for_an_operator(town: Town) -> None:
    coordinator = town.coordinator()
    town.right.before = _refuses
    ref = await town.start(coordinator)
    progress = await coordinator.wait(ref, SystemClock().monotonic() + LONG)
    assert progress.outcome is SagaOutcome.COMMITTED
    await town.stopped(coordinator)
    assert await coordinator.counts() == {("pay", "parked"): 1}
    (branch,) = await coordinator.parked()
    assert (branch.ref, branch.step, branch.state) == (ref, "right", StepState.PARKED)
    assert (branch.tries, branch.note) == (1, "TRANSACTION_NOT_FOUND")

    await town.end_leases()
    other = town.coordinator(owner="two")
    assert await other.sweep() == 0, "nobody takes it over meanwhile"
    progress = await other.wait_ended(ref, SystemClock().monotonic())
    assert (progress.outcome, progress.ended, progress.parked) == (SagaOutcome.COMMITTED, False, True)
    assert await town.values() == (1, 0)

    assert await town.retry(ref)
    assert not await town.retry(ref), "it is not parked any more"
    assert await other.sweep() == 1
    await town.stopped(other)
    assert [branch.step for branch in await other.parked()] == ["right"], "it is refused, and parked, again"

    town.right.before = lambda what: None
    assert await town.retry(ref)
    assert await other.sweep() == 1
    assert (await other.wait_ended(ref, SystemClock().monotonic() + LONG)).ended
    assert await other.parked() == []
    assert await other.counts() == {}
    await settled(town, committed=1)


async def test_a_roll_back_that_is_refused_for_good_is_shown_as_an_undo(town: Town) -> None:
    coordinator = town.coordinator()
    town.left.before, town.right.full = _refuses, True
    ref = await town.start(coordinator)
    assert (await coordinator.wait(ref, SystemClock().monotonic() + LONG)).outcome is SagaOutcome.REJECTED
    await town.stopped(coordinator)
    (branch,) = await coordinator.parked()
    assert (branch.step, branch.state) == ("left", StepState.UNDO_PARKED)
    assert await town.standing() == 1, "its locks are held until somebody decides"


async def test_while_another_participant_cannot_be_reached_nothing_is_parked(town: Town) -> None:
    left, tries = asyncio.Event(), 0

    async def away(what: str) -> None:
        nonlocal tries
        if what == "commit":
            tries += 1
            if tries == 5:
                assert await coordinator.parked() == []
                left.set()
            if not left.is_set():
                raise lost(grpc.StatusCode.UNAVAILABLE, Outcome.UNKNOWN)

    coordinator = town.coordinator()
    town.left.before, town.right.before = away, _refuses
    await town.start(coordinator)
    await town.stopped(coordinator)
    assert [branch.step for branch in await coordinator.parked()] == ["right"]
    assert tries == 5
