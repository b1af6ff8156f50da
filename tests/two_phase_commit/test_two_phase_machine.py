"""The rules of two-phase commit, on their own, and in a model of a world in which everything dies and arrives late."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from souk.kernel.errors import Outcome
from souk.kernel.state_machine import IllegalTransition
from souk.saga.definition import Refusal
from souk.saga.run import StepAnswer
from souk.two_phase_commit import machine
from souk.two_phase_commit.machine import TwoPhase, TwoPhaseRun, diagram
from tests.properties import examples

YES = StepAnswer(Outcome.DONE, b"result")
NO = StepAnswer(Outcome.REFUSED, refusal=Refusal("b", "NO", final=True))
NOT_SENT, UNKNOWN = StepAnswer(Outcome.NOT_SENT), StepAnswer(Outcome.UNKNOWN)


def play(*answers: StepAnswer, branches: int = 2) -> TwoPhaseRun:
    """Answers each prepare that the machine asks for, in turn."""
    run = machine.begin(branches)
    for answer in answers:
        assert run.to_prepare is not None
        index = run.to_prepare
        run = machine.voted(machine.asked(run, index), index, answer)
    return run


def test_branches_are_prepared_in_their_order() -> None:
    assert machine.begin(2).to_prepare == 0
    assert play(YES).to_prepare == 1
    assert play(YES).to_end == ()


def test_all_prepared_commits_all() -> None:
    run = play(YES, YES)
    assert run.phase is TwoPhase.COMMITTING
    assert run.to_end == (0, 1)
    assert run.results == (b"result", b"result")
    run = machine.acknowledged(machine.acknowledged(run, 1), 0)
    assert run.phase is TwoPhase.COMMITTED
    assert run.commits
    assert run.ended


def test_a_refusal_rolls_back_what_is_prepared_and_nothing_else() -> None:
    run = play(YES, NO, branches=3)
    assert run.phase is TwoPhase.ABORTING
    assert run.to_end == (0,)
    assert run.refusal == NO.refusal
    assert machine.acknowledged(run, 0).phase is TwoPhase.ABORTED


@pytest.mark.parametrize("answer", [NO, NOT_SENT])
def test_a_first_branch_that_holds_nothing_ends_it_at_once(answer: StepAnswer) -> None:
    run = play(answer)
    assert run.phase is TwoPhase.ABORTED
    assert run.to_end == ()


def test_a_branch_that_did_not_answer_is_rolled_back_since_it_may_be_prepared() -> None:
    assert play(YES, UNKNOWN).to_end == (0, 1)
    assert play(UNKNOWN).to_end == (0,)


def test_who_takes_over_aborts_what_is_not_decided_and_carries_out_what_is() -> None:
    assert machine.taken_over(TwoPhase.PREPARING, 2, None).to_end == (0, 1)
    assert machine.taken_over(TwoPhase.PREPARING, 2, None).phase is TwoPhase.ABORTING
    assert machine.taken_over(TwoPhase.COMMITTING, 2, None).commits
    assert machine.taken_over(TwoPhase.ABORTING, 2, NO.refusal).refusal == NO.refusal


def test_a_decision_is_never_taken_back() -> None:
    with pytest.raises(IllegalTransition):
        machine.voted(play(YES, YES), 0, NO)
    with pytest.raises(IllegalTransition):
        machine.acknowledged(machine.acknowledged(machine.acknowledged(play(YES, YES), 0), 1), 1)


def test_the_diagram_is_drawn_from_the_table() -> None:
    assert "preparing --> committing: all_prepared" in diagram()


@dataclass
class World:
    """What survives a crash: the coordinator's record and the participants' databases."""

    recorded: TwoPhase = TwoPhase.PREPARING
    participants: list[str] = field(default_factory=lambda: ["none"] * 3)

    def prepare(self, index: int) -> bool:
        """A prepare arrives; returns whether it was prepared now."""
        if self.participants[index] != "none":
            return False
        self.participants[index] = "prepared"
        return True

    def end(self, index: int, *, commit: bool) -> None:
        """A commit or a roll-back arrives. A roll-back blocks a late prepare."""
        now = self.participants[index]
        if commit:
            assert now in ("prepared", "committed"), "a commit needs a branch that is prepared"
            self.participants[index] = "committed"
        else:
            assert now != "committed", "what has committed is rolled back"
            self.participants[index] = "rolled back"

    def decide(self) -> bool:
        """The conditional write of the decision; returns whether the run commits."""
        if self.recorded is TwoPhase.PREPARING:
            self.recorded = TwoPhase.COMMITTING
        return self.recorded is TwoPhase.COMMITTING

    def abort(self) -> None:
        assert self.recorded is not TwoPhase.COMMITTING, "a decision to commit is taken back"
        self.recorded = TwoPhase.ABORTING


class TwoPhaseModel(RuleBasedStateMachine):
    """Coordinators that die, are taken for dead and go on; calls that are lost, arrive late, or are not answered."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.drives: list[TwoPhaseRun] = [machine.begin(3)]
        self.late: list[int] = []
        self.decided = False

    @precondition(lambda self: self.drives and self.drives[0].to_prepare is not None)
    @rule(how=st.sampled_from(["yes", "answer lost", "late", "refused", "not sent"]))
    def prepare(self, how: str) -> None:
        run = self.drives[0]
        index = run.to_prepare
        assert index is not None
        run = machine.asked(run, index)
        answer = {"refused": NO, "not sent": NOT_SENT}.get(how, UNKNOWN)
        if how == "late":
            self.late.append(index)
        elif how in ("yes", "answer lost"):
            prepared = self.world.prepare(index)
            answer = (YES if prepared else NO) if how == "yes" else UNKNOWN
        self.drives[0] = machine.voted(run, index, answer)

    @precondition(lambda self: self.late)
    @rule()
    def arrive_late(self) -> None:
        self.world.prepare(self.late.pop(0))

    @precondition(lambda self: self.drives and self.drives[0].commits and not self.decided)
    @rule()
    def decide(self) -> None:
        self.decided = self.world.decide()
        if not self.decided:
            self.drives.pop(0)  # it has lost its lease, and stops

    @precondition(lambda self: self.drives)
    @rule(which=st.integers(0, 5), acknowledged=st.booleans())
    def end(self, which: int, acknowledged: bool) -> None:
        number = which % len(self.drives)
        run = self.drives[number]
        if not run.to_end or (run.commits and number == 0 and not self.decided):
            return
        index = run.to_end[which % len(run.to_end)]
        self.world.end(index, commit=run.commits)
        if acknowledged:
            self.drives[number] = machine.acknowledged(run, index)

    @precondition(lambda self: self.drives)
    @rule()
    def crash(self) -> None:
        self.drives.pop(0)
        self.decided = True  # those that are left have taken over, after a decision

    @rule()
    def take_over(self) -> None:
        """The lease is over, whether its owner is dead or only slow."""
        run = machine.taken_over(self.world.recorded, 3, None)
        if not run.commits:
            self.world.abort()
        self.drives.append(run)

    def teardown(self) -> None:
        self.take_over()
        for number in range(len(self.drives)):
            while self.drives[number].to_end and (number or self.decided or not self.drives[number].commits):
                self.end(number, True)
        for index in self.late:
            self.world.prepare(index)
        assert set(self.world.participants) in ({"committed"}, {"rolled back"})


TestTwoPhaseModel = TwoPhaseModel.TestCase
TestTwoPhaseModel.settings = settings(max_examples=examples(500), stateful_step_count=30, deadline=None)
