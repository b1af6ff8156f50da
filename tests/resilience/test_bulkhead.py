"""The bulkhead: who runs, who waits, who is turned away."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from souk.resilience.bulkhead import Bulkhead, Entry


def test_runs_then_queues_then_turns_away_and_lets_in_in_order():
    bulkhead = Bulkhead(running=2, waiting=2)
    entries = [bulkhead.arrive(name) for name in "abcde"]
    assert entries == [Entry.RUN, Entry.RUN, Entry.WAIT, Entry.WAIT, Entry.FULL]
    assert [bulkhead.leave() for _ in range(4)] == ["c", "d", None, None]
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)


def test_who_gives_up_is_passed_over():
    bulkhead = Bulkhead(running=1, waiting=2)
    for name in "abc":
        bulkhead.arrive(name)
    assert bulkhead.give_up("b")
    assert bulkhead.leave() == "c"
    assert not bulkhead.give_up("c")  # it runs, and has to leave


class BulkheadModel(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.bulkhead = Bulkhead(running=3, waiting=4)
        self.running, self.queue, self.count = [], [], 0

    @rule()
    def arrive(self):
        self.count += 1
        match self.bulkhead.arrive(self.count):
            case Entry.RUN:
                assert not self.queue
                self.running.append(self.count)
            case Entry.WAIT:
                self.queue.append(self.count)
            case Entry.FULL:
                assert len(self.queue) == 4

    @rule(place=st.integers(0, 2))
    def leave(self, place):
        if self.running:
            self.running.pop(place % len(self.running))
            let_in = self.bulkhead.leave()
            assert let_in == (self.queue.pop(0) if self.queue else None)
            if let_in is not None:
                self.running.append(let_in)

    @rule(place=st.integers(0, 3))
    def give_up(self, place):
        if self.queue:
            assert self.bulkhead.give_up(self.queue.pop(place % len(self.queue)))

    @invariant()
    def agree(self):
        assert (self.bulkhead.running, self.bulkhead.waiting) == (len(self.running), len(self.queue))
        assert len(self.running) == 3 or not self.queue


TestBulkheadModel = BulkheadModel.TestCase
