"""The rules of a saga, on their own."""

from collections import Counter

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from souk.kernel.errors import DomainError, Outcome
from souk.kernel.state_machine import IllegalTransition
from souk.saga import machine
from souk.saga.definition import Refusal, Saga, Step, parallel
from souk.saga.run import Decision, Run, StepAnswer
from souk.saga.states import RUN, STEP, Phase, StepEvent, StepState, diagram
from souk.saga.waits import receive, timer
from tests.properties import examples

DONE, REFUSED = StepAnswer(Outcome.DONE, b"result"), StepAnswer(Outcome.REFUSED, refusal=Refusal("b", "NO", final=True))
NOT_NOW = StepAnswer(Outcome.REFUSED, refusal=Refusal("b", "PROVIDER_ERROR"))
NOT_SENT, UNKNOWN = StepAnswer(Outcome.NOT_SENT), StepAnswer(Outcome.UNKNOWN)
LIMIT = 2
"""The tries of an undo in the histories."""


async def _call(*_: object) -> None:
    """Stands for a participant."""


def not_no(body: bytes) -> None:
    """Refuses a message that says no."""
    if body == b"no":
        raise DomainError("NO", "no means no")


def saga(*, pivot: int = 2, undo: bool = True, wide: bool = False, waits: bool = False, goes_on: bool = False) -> Saga:
    """Makes a saga of the steps a, b (whose undo is not waited for), local c, and d; a `wide` one has a beside b.

    One that `waits` has a wait for a message before c, and one for a time after it.
    """
    taken_back = _call if undo else None
    first = (
        Step("a", do=_call, undo=taken_back, pivot=pivot == 0),
        Step("b", do=_call, undo=taken_back, outcome_waits=False, pivot=pivot == 1),
    )
    message: tuple[Step, ...] = ()
    if waits:
        may_refuse = pivot > 1 and not goes_on
        instead = None if may_refuse else StringValue(value="nobody minds")
        message = (receive("m", limit=1.0, otherwise=instead, check=not_no if pivot > 1 else None),)
    return Saga(
        "s",
        *(parallel(*first) if wide else first),
        *message,
        Step("c", record=_call, pivot=pivot == 2),
        *([timer("t", 1.0)] if waits else []),
        Step("d", do=_call, pivot=pivot == 3),
        rejected=_call,
    )


def states(run: Run) -> str:
    return " ".join(step.state for step in run.steps)


def play(*answers: StepAnswer, late: bool = False, of: Saga | None = None) -> Decision:
    """Answers each step that the machine asks for, in turn."""
    of = of or saga()
    decision = machine.begin(of)
    for answer in answers:
        decision = machine.answered(of, decision.run, decision.run.to_do[0], answer, late=late)
    return decision


def test_the_first_step_is_registered_before_anything_is_called() -> None:
    decision = play()
    assert states(decision.run) == "trying waiting waiting waiting"
    assert decision.run.phase is Phase.RUNNING
    assert decision.records == ()


def test_local_steps_are_done_with_the_result_before_them() -> None:
    decision = play(DONE, DONE)
    assert states(decision.run) == "done done done trying"
    assert decision.records == (1, 2)
    assert decision.run.phase is Phase.COMMITTED


def test_all_done_ends_it() -> None:
    decision = play(DONE, DONE, DONE)
    assert decision.run.phase is Phase.COMPLETED
    assert decision.ended
    assert not decision.rejected


def test_a_refused_first_step_is_rejected_and_ended_at_once() -> None:
    decision = play(REFUSED)
    assert states(decision.run) == "refused waiting waiting waiting"
    assert decision.run.phase is Phase.COMPENSATED
    assert decision.rejected
    assert decision.ended
    assert decision.run.refusal == Refusal("b", "NO", final=True)


def test_a_step_that_was_not_sent_is_not_undone() -> None:
    decision = play(DONE, NOT_SENT)
    assert states(decision.run) == "undoing not_sent waiting waiting"
    assert decision.run.phase is Phase.TURNED_BACK
    assert not decision.rejected


def test_an_unknown_step_is_asked_again_and_nothing_is_undone() -> None:
    decision = play(DONE, UNKNOWN, UNKNOWN, NOT_SENT)
    assert states(decision.run) == "done doubtful waiting waiting"
    assert decision.run.steps[1].tries == 3
    assert decision.run.phase is Phase.RUNNING


def test_a_refusal_after_doubt_is_undone_because_the_first_try_may_still_arrive() -> None:
    assert states(play(DONE, UNKNOWN, REFUSED).run) == "undoing undoing waiting waiting"


def test_doubt_at_the_deadline_is_undone() -> None:
    run = play(DONE, UNKNOWN).run
    decision = machine.deadline_passed(saga(), run)
    assert states(decision.run) == "undoing undoing waiting waiting"
    assert decision.run.refusal is not None
    assert decision.run.refusal.reason == machine.DEADLINE_EXCEEDED
    assert play(UNKNOWN, late=True).run.phase is Phase.TURNED_BACK


def test_no_further_call_is_begun_after_the_deadline_but_local_steps_are() -> None:
    assert states(play(DONE, late=True).run) == "undoing waiting waiting waiting"
    of = saga()
    late = machine.answered(of, play(DONE).run, 1, DONE, late=True)
    assert late.run.phase is Phase.COMMITTED


def test_the_outcome_waits_only_for_the_undos_that_it_must_wait_for() -> None:
    of = saga()
    run = machine.deadline_passed(of, play(DONE, UNKNOWN).run).run
    charge_first = machine.undone(of, run, 1)
    assert charge_first.run.phase is Phase.TURNED_BACK
    stock_first = machine.undone(of, run, 0)
    assert stock_first.run.phase is Phase.REJECTED
    assert stock_first.rejected
    assert not stock_first.ended
    both = machine.undone(of, stock_first.run, 1)
    assert both.run.phase is Phase.COMPENSATED
    assert both.ended
    assert not both.rejected


def test_a_parked_undo_holds_up_no_other_and_an_operator_retries_it() -> None:
    of = saga()
    run = machine.deadline_passed(of, play(DONE, UNKNOWN).run).run
    run = machine.undo_failed(of, run, 0, UNKNOWN, tries_exhausted=True).run
    assert run.to_undo == (1,)
    run = machine.undone(of, run, 1).run
    assert run.parked
    assert not run.active
    assert not run.ended
    run = machine.retried(run)
    assert run.to_undo == (0,)
    assert run.steps[0].tries == 0


def test_after_the_pivot_nothing_goes_back() -> None:
    of = saga()
    for answer in (NOT_SENT, UNKNOWN, NOT_NOW):
        after = machine.answered(of, play(DONE, DONE).run, 3, answer, late=True).run
        assert (after.phase, after.to_do) == (Phase.COMMITTED, (3,))
    assert machine.answered(of, play(DONE, DONE).run, 3, NOT_NOW, late=True, tries_exhausted=True).run.parked
    parked = play(DONE, DONE, REFUSED).run
    assert states(parked) == "done done done parked"
    assert parked.parked
    assert not parked.active
    assert states(machine.retried(parked)) == "done done done doubtful"


def test_a_saga_that_only_goes_forward_is_committed_from_the_start() -> None:
    of = saga(pivot=0)
    assert machine.begin(of).run.phase is Phase.COMMITTED
    assert states(play(REFUSED, of=of).run).startswith("parked")


def test_a_step_in_doubt_without_an_undo_has_nothing_to_take_back() -> None:
    of = saga(undo=False)
    decision = machine.deadline_passed(of, play(DONE, UNKNOWN, of=of).run)
    assert states(decision.run) == "done undone waiting waiting"
    assert decision.run.phase is Phase.COMPENSATED


def test_in_new_hands_a_registered_step_is_in_doubt() -> None:
    assert states(machine.resumed(saga(), play().run)) == "doubtful waiting waiting waiting"


def test_an_illegal_transition_raises() -> None:
    with pytest.raises(IllegalTransition):
        machine.undone(saga(), play(DONE).run, 0)
    with pytest.raises(IllegalTransition):
        machine.deadline_passed(saga(), play(DONE, DONE).run)
    with pytest.raises(IllegalTransition):
        machine.answered(saga(), play(DONE).run, 2, UNKNOWN, late=False)


def test_the_diagram_is_drawn_from_the_tables() -> None:
    text = diagram()
    assert "running --> committed: pivot" in text
    assert text.count("-->") == len(RUN._table) + len(STEP._table) + 2


def test_every_state_but_the_last_ones_has_a_way_on() -> None:
    last = {StepState.REFUSED, StepState.NOT_SENT, StepState.UNDONE}
    for state in set(StepState) - last:
        assert any(STEP.allows(state, event) for event in StepEvent), state


def wait(message: bytes | None, *, due: bool, of: Saga, late: bool = False) -> Decision:
    """Wakes a run that has done a and b, and waits."""
    run = play(DONE, DONE, of=of).run
    assert states(run) == "done done awaiting waiting waiting waiting"
    return machine.woken(of, run, 2, message, due=due, late=late)


def test_a_wait_ends_by_its_message_or_by_its_time_and_by_nothing_else() -> None:
    of, goes_on = saga(waits=True), saga(waits=True, goes_on=True)
    waiting = play(DONE, DONE, of=of).run
    assert (waiting.active, waiting.awaiting, waiting.to_do) == (False, 2, ())
    assert wait(None, due=False, of=of) == Decision(waiting)
    for due in (False, True):
        taken = wait(b"yes", due=due, of=of)
        assert states(taken.run) == "done done done done awaiting waiting"
        assert (taken.run.phase, taken.records, taken.run.steps[2].result) == (Phase.COMMITTED, (2, 3), b"yes")
    over = wait(None, due=True, of=of)
    assert states(over.run) == "undoing undoing refused waiting waiting waiting"
    assert over.run.refusal is not None
    assert (over.run.refusal.step, over.run.refusal.reason) == ("m", "NO_MESSAGE")
    instead = wait(None, due=True, of=goes_on)
    assert StringValue.FromString(instead.run.steps[2].result).value == "nobody minds"
    refused = wait(b"no", due=False, of=of)
    assert refused.run.refusal == Refusal("m", "NO", "no means no", final=True)


def test_a_timer_ends_by_its_time_alone() -> None:
    of = saga(waits=True)
    run = wait(b"yes", due=False, of=of).run
    assert machine.woken(of, run, 4, None, due=False, late=True) == Decision(run)
    assert states(machine.woken(of, run, 4, None, due=True, late=True).run) == "done done done done done trying"


def test_no_wait_begins_after_the_deadline() -> None:
    of = saga(waits=True)
    late = machine.answered(of, play(DONE, of=of).run, 1, DONE, late=True)
    assert states(late.run) == "undoing undoing waiting waiting waiting waiting"


def test_a_step_that_waits_is_resolved_and_turned_back() -> None:
    of = saga(waits=True)
    run = play(DONE, DONE, of=of).run
    assert machine.resolved(of, run, "", late=False).run.phase is Phase.COMMITTED
    assert machine.resolved(of, run, "a", late=False) == Decision(run)
    assert states(machine.compensated(of, run, "a ticket").run) == "undoing undoing undone waiting waiting waiting"
    parked = machine.not_recorded(of, run, 2, "a hook fails", tries=1).run
    assert (parked.parked, parked.active, states(machine.retried(parked))) == (True, False, states(run))


class SagaHistory(RuleBasedStateMachine):
    """Any history of answers, deadlines, take-overs and operators keeps the promises."""

    @initialize(
        pivot=st.sampled_from([0, 1, 2, 3]),
        undo=st.booleans(),
        wide=st.booleans(),
        waits=st.booleans(),
        goes_on=st.booleans(),
    )
    def begin(self, pivot: int, undo: bool, wide: bool, waits: bool = False, goes_on: bool = False) -> None:
        self.saga = saga(pivot=pivot, undo=undo, wide=wide and pivot > 1, waits=waits, goes_on=goes_on)
        self.woken: set[int] = set()
        self.rejections = self.ends = 0
        self.records: list[int] = []
        self.may_have_happened: set[int] = set()
        self.undos_sent: Counter[int] = Counter()
        self.take(machine.begin(self.saga))

    def take(self, decision: Decision) -> None:
        self.run = decision.run
        self.records += decision.records
        self.rejections += decision.rejected
        self.ends += decision.ended

    @precondition(lambda self: self.run.to_do)
    @rule(
        pick=st.integers(0, 1),
        outcome=st.sampled_from(Outcome),
        late=st.booleans(),
        final=st.booleans(),
        tries_exhausted=st.booleans(),
    )
    def answer(self, pick: int, outcome: Outcome, late: bool, final: bool, tries_exhausted: bool) -> None:
        index = self.run.to_do[pick % len(self.run.to_do)]
        if outcome in (Outcome.DONE, Outcome.UNKNOWN):
            self.may_have_happened.add(index)
        answer = StepAnswer(outcome, b"r", Refusal("b", "NO", final=final))
        self.take(machine.answered(self.saga, self.run, index, answer, late=late, tries_exhausted=tries_exhausted))

    @precondition(lambda self: self.saga.steps[0].beside and self.run.phase is not Phase.RUNNING)
    @rule(index=st.integers(0, 1), outcome=st.sampled_from(Outcome))
    def answer_after_another_turned_it_back(self, index: int, outcome: Outcome) -> None:
        answer = StepAnswer(outcome, b"r", Refusal("b", "NO", final=True))
        assert machine.answered(self.saga, self.run, index, answer, late=False) == Decision(self.run)

    @precondition(lambda self: self.run.awaiting is not None)
    @rule(message=st.sampled_from([None, None, b"yes", b"no"]), due=st.booleans(), late=st.booleans())
    def wake(self, message: bytes | None, due: bool, late: bool) -> None:
        index = self.run.awaiting
        assert index is not None
        timed = not (wait := self.saga.steps[index].wait) or not wait.message
        decision = machine.woken(self.saga, self.run, index, None if timed else message, due=due, late=late)
        came = message is not None and not timed
        assert (decision == Decision(self.run)) is not (came or due)
        if came or due:
            self.woken.add(index)
        self.take(decision)

    @precondition(lambda self: self.run.to_do or self.run.awaiting is not None)
    @rule()
    def a_hook_fails(self) -> None:
        index = self.run.to_do[0] if self.run.to_do else self.run.awaiting
        assert index is not None
        if self.saga.steps[index].wait is None:
            self.may_have_happened.add(index)
        self.take(machine.not_recorded(self.saga, self.run, index, "a hook fails", tries=1))

    @precondition(lambda self: self.run.parked or self.run.awaiting is not None)
    @rule(data=st.data(), late=st.booleans())
    def operator_resolves(self, data: st.DataObject, late: bool) -> None:
        step = data.draw(st.sampled_from(["", *(step.name for step in self.saga.steps)]))
        for index, was in enumerate(self.run.steps):
            if step not in ("", self.saga.steps[index].name):
                continue
            if was.state is StepState.UNDO_PARKED:
                self.may_have_happened.discard(index)
                del self.undos_sent[index]
            elif was.state is StepState.PARKED:
                self.may_have_happened.add(index)
            elif was.state in (StepState.AWAITING, StepState.WAIT_PARKED):
                self.woken.add(index)
        self.take(machine.resolved(self.saga, self.run, step, late=late))

    @precondition(lambda self: self.run.phase is Phase.RUNNING)
    @rule()
    def operator_compensates(self) -> None:
        self.take(machine.compensated(self.saga, self.run, "a ticket"))

    @precondition(lambda self: self.run.phase is Phase.RUNNING)
    @rule()
    def deadline(self) -> None:
        self.take(machine.deadline_passed(self.saga, self.run))

    @precondition(lambda self: self.run.to_undo)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def undo(self, data: st.DataObject, outcome: Outcome) -> None:
        index = data.draw(st.sampled_from(self.run.to_undo))
        if outcome is Outcome.DONE:
            self.may_have_happened.discard(index)
            self.take(machine.undone(self.saga, self.run, index))
            return
        self.undos_sent[index] += outcome is not Outcome.NOT_SENT
        answer = StepAnswer(outcome, refusal=Refusal("b", "DOWN"))
        exhausted = machine.exhausts_tries(self.run, index, answer, LIMIT)
        self.take(machine.undo_failed(self.saga, self.run, index, answer, tries_exhausted=exhausted))

    @rule()
    def crash(self) -> None:
        self.may_have_happened.update(self.run.to_do)
        self.run = machine.resumed(self.saga, self.taken_over())

    def taken_over(self) -> Run:
        return self.run

    @precondition(lambda self: self.run.parked)
    @rule()
    def operator(self) -> None:
        for index, step in enumerate(self.run.steps):
            if step.state is StepState.UNDO_PARKED:
                del self.undos_sent[index]
        self.run = self.retried()

    def retried(self) -> Run:
        return machine.retried(self.run)

    @invariant()
    def it_is_never_forgotten(self) -> None:
        assert self.run.ended or self.run.active or self.run.parked or self.run.awaiting is not None

    @invariant()
    def a_run_that_waits_does_nothing_else_and_no_wait_ends_by_itself(self) -> None:
        if self.run.awaiting is not None:
            assert not self.run.active
            assert self.run.phase in (Phase.RUNNING, Phase.COMMITTED)
        done = {index for index, step in enumerate(self.run.steps) if step.state is StepState.DONE}
        assert {index for index in done if self.saga.steps[index].wait is not None} <= self.woken

    @invariant()
    def an_undo_is_parked_by_the_tries_that_were_sent_and_by_no_others(self) -> None:
        for index, step in enumerate(self.run.steps):
            if step.state is StepState.UNDO_PARKED:
                assert self.undos_sent[index] == LIMIT
            if step.state is StepState.UNDOING:
                assert self.undos_sent[index] < LIMIT

    @invariant()
    def hooks_run_once_and_in_order(self) -> None:
        beside = [index for index, step in enumerate(self.saga.steps) if step.beside]
        alone = [index for index in self.records if index not in beside]
        assert alone == list(range(len(beside), len(beside) + len(alone)))
        together = sorted(index for index in self.records if index in beside)
        assert together == beside if alone else set(together) <= set(beside)
        assert self.rejections == (self.run.phase in (Phase.REJECTED, Phase.COMPENSATED))
        assert self.ends == self.run.ended

    @invariant()
    def at_the_end_all_is_done_or_all_is_undone(self) -> None:
        if self.run.phase is Phase.COMPLETED:
            assert {step.state for step in self.run.steps} == {StepState.DONE}
        if self.run.phase is Phase.COMPENSATED:
            assert not {index for index in self.may_have_happened if self.saga.steps[index].undo is not None}

    @invariant()
    def a_rejection_waits_for_what_it_must(self) -> None:
        if self.run.phase is Phase.REJECTED:
            waits = [index for index in self.may_have_happened if self.saga.steps[index].undo is not None]
            assert not any(self.saga.steps[index].outcome_waits for index in waits)

    @invariant()
    def what_is_committed_stays_committed(self) -> None:
        passed = self.saga.forward_only or self.run.steps[self.saga.pivot].state is StepState.DONE
        turned = self.run.phase in (Phase.TURNED_BACK, Phase.REJECTED, Phase.COMPENSATED)
        assert not (turned and self.saga.forward_only)
        if passed and not turned:
            assert self.run.phase in (Phase.COMMITTED, Phase.COMPLETED)


SagaHistory.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=25, deadline=None)
TestSagaHistory = SagaHistory.TestCase
