"""The bulkhead: who runs, who waits, who is turned away."""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from souk.resilience.bulkhead import Arrival, Bulkhead, CallingParty


def test_runs_then_queues_then_turns_away_and_lets_in_in_order():
    bulkhead = Bulkhead(running=2, waiting=2)
    entries = [bulkhead.arrive(name) for name in "abcde"]
    assert entries == [Arrival.RUN, Arrival.RUN, Arrival.WAIT, Arrival.WAIT, Arrival.FULL]
    assert [bulkhead.leave() for _ in range(4)] == ["c", "d", None, None]
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)


def test_who_gives_up_is_passed_over():
    bulkhead = Bulkhead(running=1, waiting=2)
    for name in "abc":
        bulkhead.arrive(name)
    assert bulkhead.give_up("b")
    assert bulkhead.leave() == "c"
    assert not bulkhead.give_up("c")  # it runs, and has to leave


USERS = [CallingParty("gateway", "U-1"), CallingParty("gateway", "U-2"), CallingParty("order", "U-1")]
SERVICE = CallingParty("order")
CALLERS = [*USERS, SERVICE]
MANY, FEW = USERS[:2]


def test_callers_take_turns_however_many_calls_one_of_them_has_waiting():
    bulkhead = Bulkhead(running=1, waiting=100)
    bulkhead.arrive("first", MANY)
    for number in range(50):
        bulkhead.arrive(f"many {number}", MANY)
    for number in range(2):
        bulkhead.arrive(f"few {number}", FEW)
    assert bulkhead.leave(MANY) == "many 0"
    assert bulkhead.leave(MANY) == "few 0"
    assert bulkhead.leave(FEW) == "many 1"
    assert bulkhead.leave(MANY) == "few 1"
    assert bulkhead.leave(FEW) == "many 2"


def test_a_user_holds_so_many_places_and_no_more_though_others_are_free():
    bulkhead = Bulkhead(running=10, waiting=10, user_running=2, user_waiting=1)
    entries = [bulkhead.arrive(number, MANY) for number in range(4)]
    assert entries == [Arrival.RUN, Arrival.RUN, Arrival.WAIT, Arrival.FULL]
    assert bulkhead.arrive("other", FEW) is Arrival.RUN
    assert bulkhead.leave(FEW) is None, "the one who waits is at his limit"
    assert bulkhead.leave(MANY) == 2


def test_a_services_own_work_is_a_caller_without_a_limit_of_its_own():
    bulkhead = Bulkhead(running=5, waiting=5, user_running=1, user_waiting=1)
    assert [bulkhead.arrive(number, SERVICE) for number in range(6)] == [Arrival.RUN] * 5 + [Arrival.WAIT]


class BulkheadModel(RuleBasedStateMachine):
    """Compares a bulkhead with a plain model: lists of who runs and who waits, and whose turn was last."""

    RUNNING, WAITING, USER_RUNNING, USER_WAITING = 4, 6, 2, 3

    def __init__(self):
        super().__init__()
        self.bulkhead = Bulkhead(self.RUNNING, self.WAITING, self.USER_RUNNING, self.USER_WAITING)
        self.running, self.queue, self.count = [], [], 0

    def at_limit(self, caller):
        return caller.limited and sum(one == caller for one, _ in self.running) >= self.USER_RUNNING

    @rule(caller=st.sampled_from(CALLERS))
    def arrive(self, caller):
        self.count += 1
        own = sum(one == caller for one, _ in self.queue)
        room = len(self.running) < self.RUNNING and not self.at_limit(caller)
        full = len(self.queue) >= self.WAITING or (caller.limited and own >= self.USER_WAITING)
        expected = Arrival.RUN if room else Arrival.FULL if full else Arrival.WAIT
        assert self.bulkhead.arrive(self.count, caller) is expected
        if expected is Arrival.RUN:
            self.running.append((caller, self.count))
        elif expected is Arrival.WAIT:
            self.queue.append((caller, self.count))

    @rule(place=st.integers(0, 3))
    def leave(self, place):
        if not self.running:
            return
        caller, _ = self.running.pop(place % len(self.running))
        let_in = self.bulkhead.leave(caller)
        may = [(one, waiter) for one, waiter in self.queue if not self.at_limit(one)]
        if let_in is None:
            assert not may, "somebody waits who could run"
            return
        found = next(one for one in self.queue if one[1] == let_in)
        assert found in may
        assert let_in == next(waiter for one, waiter in self.queue if one == found[0]), (
            "a caller's calls keep their order"
        )
        self.queue.remove(found)
        self.running.append(found)

    @rule(place=st.integers(0, 5))
    def give_up(self, place):
        if self.queue:
            assert self.bulkhead.give_up(self.queue.pop(place % len(self.queue))[1])

    @invariant()
    def agree(self):
        assert (self.bulkhead.running, self.bulkhead.waiting) == (len(self.running), len(self.queue))
        held = Counter(caller for caller, _ in self.running)
        assert all(held[caller] <= self.USER_RUNNING for caller in USERS)

    @invariant()
    def nobody_waits_for_nothing(self):
        if len(self.running) < self.RUNNING:
            assert all(self.at_limit(caller) for caller, _ in self.queue)


class TurnsModel(RuleBasedStateMachine):
    """Between two turns of one caller every other who waits all the time has at most one."""

    def __init__(self):
        super().__init__()
        self.bulkhead, self.count = Bulkhead(running=1, waiting=1_000), 0
        self.runs = CALLERS[0]
        self.bulkhead.try_enter(self.runs)
        self.waiting: dict = {}
        self.turns: dict = {caller: Counter() for caller in CALLERS}

    @rule(caller=st.sampled_from(CALLERS))
    def arrive(self, caller):
        self.count += 1
        if self.bulkhead.arrive(self.count, caller) is Arrival.WAIT:
            if caller not in self.waiting.values():
                self.turns[caller].clear()
            self.waiting[self.count] = caller

    @rule()
    def leave(self):
        let_in = self.bulkhead.leave(self.runs)
        self.runs = self.waiting.pop(let_in) if let_in is not None else CALLERS[0]
        if let_in is None:
            self.bulkhead.try_enter(self.runs)
            return
        for caller in set(self.waiting.values()) - {self.runs}:
            self.turns[caller][self.runs] += 1
            assert self.turns[caller][self.runs] <= 1, f"{self.runs} had two turns while {caller} waited"
        self.turns[self.runs].clear()


TestTurns = TurnsModel.TestCase
TestBulkheadModel = BulkheadModel.TestCase
