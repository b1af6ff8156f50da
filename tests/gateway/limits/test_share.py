"""Several gateways with a share each of one key, in every order of events: together they keep to the limit."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from souk.gateway.limits.gcra import MICROSECONDS, Rate
from souk.gateway.limits.shared.share import GRACE, LIFETIME, PAUSE, SLACK, LocalShare
from tests.properties import examples

GATEWAYS = 3
NUMBERS, TIMES = st.integers(0, GATEWAYS - 1), st.integers(1, 30)


@dataclass
class Question:
    """A question to Redis: sent, perhaps counted there, and answered later."""

    wanted: int
    sent: int
    answer: tuple[int, int] | None = None


@dataclass
class Gateway:
    share: LocalShare = field(default_factory=LocalShare)
    question: Question | None = None


class Gateways(RuleBasedStateMachine):
    """The clocks of the gateways differ from Redis': only durations are the same."""

    @initialize(
        count=st.sampled_from([10, 60, 600, 2_000]),
        window=st.sampled_from([1.0, 60.0]),
        burst=st.integers(1, 60),
        gateways=st.integers(1, GATEWAYS),
    )
    def begin(self, count: int, window: float, burst: int, gateways: int) -> None:
        self.rate, self.now, self.tat = Rate(count, window, burst), 0, 0
        self.gateways = [Gateway() for _ in range(gateways)]
        self.admitted: list[int] = []

    def gateway(self, number: int) -> tuple[Gateway, int]:
        number %= len(self.gateways)
        return self.gateways[number], self.now + number * 7_777_777

    @rule(number=NUMBERS, times=TIMES)
    def requests_come(self, number: int, times: int) -> None:
        one, now = self.gateway(number)
        for _ in range(times):
            one.share.note(now)
            if one.share.has(now):
                one.share.cells -= 1
                self.admitted.append(self.now)
            elif not one.share.refuses(now):
                one.share.waiting += 1
                if one.question is None:
                    one.question = Question(one.share.want, now)

    @rule(number=NUMBERS)
    def redis_counts(self, number: int) -> None:
        one, _ = self.gateway(number)
        if one.question is None or one.question.answer is not None:
            return
        ahead = max(0, min(self.tat - self.now, self.rate.capacity))
        taken = min(one.question.wanted, (self.rate.capacity - ahead) // self.rate.interval)
        ahead += taken * self.rate.interval
        self.tat = self.now + ahead
        one.question.answer = taken, ahead

    @rule(number=NUMBERS)
    def the_answer_comes(self, number: int) -> None:
        one, now = self.gateway(number)
        if one.question is None or one.question.answer is None:
            return
        self.what_is_too_old_is_given_back()
        one.share.answered(self.rate, *one.question.answer, one.question.sent, now)
        waiting, one.share.waiting, one.question = one.share.waiting, 0, None
        for _ in range(waiting):
            if one.share.has(now):
                one.share.cells -= 1
                self.admitted.append(self.now)

    @rule(number=NUMBERS, times=TIMES)
    def requests_come_and_are_answered(self, number: int, times: int) -> None:
        self.requests_come(number, times)
        self.redis_counts(number)
        self.the_answer_comes(number)

    @rule(number=NUMBERS, times=TIMES)
    def a_gateway_is_busy_for_a_second(self, number: int, times: int) -> None:
        for _ in range(8):
            for _ in range(times):
                self.requests_come_and_are_answered(number, 1)
            self.now += LIFETIME // 2
            self.what_is_too_old_is_given_back()

    @rule(number=NUMBERS)
    def the_answer_is_lost(self, number: int) -> None:
        one, _ = self.gateway(number)
        one.question, one.share.waiting = None, 0

    @rule(microseconds=st.sampled_from([1_000, PAUSE, LIFETIME // 2, LIFETIME, 4 * LIFETIME, 40 * LIFETIME]))
    def time_passes(self, microseconds: int) -> None:
        self.now += microseconds
        self.what_is_too_old_is_given_back()

    def what_is_too_old_is_given_back(self) -> None:
        for number in range(len(self.gateways)):
            one, now = self.gateway(number)
            back = one.share.expired(now) * self.rate.interval
            self.tat = self.now + max(0, min(self.tat - self.now, self.rate.capacity) - back)

    @precondition(lambda self: hasattr(self, "admitted"))
    @invariant()
    def no_span_has_more_than_the_limit_and_what_its_rate_allows_in_the_slack(self) -> None:
        if not self.admitted:
            return
        end, rate = self.admitted[-1], self.rate.count / self.rate.window / MICROSECONDS
        for count, begin in enumerate(reversed(self.admitted[-500:]), 1):
            assert count <= self.rate.burst + rate * (end - begin + SLACK) + 1e-6

    @precondition(lambda self: hasattr(self, "gateways"))
    @invariant()
    def what_is_shown_to_remain_is_no_more_than_the_burst(self) -> None:
        for number, one in enumerate(self.gateways):
            assert one.share.ahead(self.rate, self.now + number * 7_777_777) >= 0
            assert one.share.cells >= 0


TestGateways = Gateways.TestCase
TestGateways.settings = settings(max_examples=examples(300), stateful_step_count=60, deadline=None)


def test_steady_requests_pay_few_questions() -> None:
    share, rate, questions = LocalShare(), Rate(10_000, 1.0), 0
    for now in range(0, 4_000_000, 1_000):  # a thousand a second
        share.note(now)
        if not share.has(now):
            questions += 1
            share.answered(rate, share.want, 0, now, now)
        share.cells -= 1
    assert questions < 4_000 * 0.08


def test_a_key_without_any_left_is_asked_about_once_a_pause() -> None:
    share, rate, questions = LocalShare(), Rate(60, 60.0), 0
    for now in range(0, 1_000_000, 1_000):
        share.note(now)
        if not share.has(now) and not share.refuses(now):
            questions += 1
            share.answered(rate, 0, rate.capacity, now, now)
    assert questions == 1  # the next one is there after a second


def test_a_share_is_idle_only_when_nothing_is_lost_with_it() -> None:
    share, rate = LocalShare(), Rate(60, 60.0)
    share.note(0)
    share.answered(rate, 2, 2 * rate.interval, 0, 0)
    assert not share.idle(LIFETIME - 1)
    assert share.idle(2 * LIFETIME)


def test_what_an_answer_brings_is_forgotten_a_lifetime_after_it_was_asked_for() -> None:
    share, rate = LocalShare(), Rate(600, 60.0)
    share.answered(rate, 5, 5 * rate.interval, 0, LIFETIME // 2)
    assert share.has(LIFETIME - 1)
    assert not share.has(LIFETIME)
    share.answered(rate, 2, 2 * rate.interval, 2 * LIFETIME, 2 * LIFETIME)
    assert share.cells == 2


def test_what_is_left_is_given_back_once_and_only_soon_after() -> None:
    share, rate = LocalShare(), Rate(600, 60.0)
    share.answered(rate, 5, 5 * rate.interval, 0, 0)
    assert share.expired(LIFETIME - 1) == 0
    assert [share.expired(LIFETIME + GRACE), share.expired(LIFETIME + GRACE)] == [5, 0]
    share.answered(rate, 5, 5 * rate.interval, 0, 0)
    assert share.expired(LIFETIME + GRACE + 1) == 0
    assert share.cells == 0


def test_a_small_burst_is_asked_about_as_often_as_it_comes_back() -> None:
    share, rate, admitted, tat = LocalShare(), Rate(100, 1.0, burst=1), 0, 0
    for now in range(0, 1_000_000, 1_000):
        share.note(now)
        if not share.has(now) and not share.refuses(now):
            ahead = max(0, tat - now)
            taken = min(share.want, (rate.capacity - ahead) // rate.interval)
            tat = now + ahead + taken * rate.interval
            share.answered(rate, taken, tat - now, now, now)
        if share.has(now):
            share.cells, admitted = share.cells - 1, admitted + 1
    assert admitted >= 90
