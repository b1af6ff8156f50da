"""The breaker, transition by transition; names follow resilience4j's documentation."""

import pytest

from souk.resilience.backoff import Backoff
from souk.resilience.breaker.breaker import Breaker, BreakerSettings, Kind, State, Trigger
from souk.resilience.breaker.machine import MACHINE
from souk.resilience.breaker.settings import TEXTBOOK

SMALL = BreakerSettings(
    failure_rate=0.5,
    slow_rate=0.8,
    slow_after=2.0,
    window=10,
    minimum_calls=4,
    open_for=Backoff(5.0, 30.0, jitter=0.0),
    probes=3,
    probe_lease=60.0,
)


def calls(breaker, pattern, now=0.0, took=0.0):
    """Makes calls one after the other: `+` succeeds, `-` fails, `?` is ignored, `s` is slow."""
    for sign in pattern:
        permit = breaker.acquire(now)
        assert permit is not None
        match sign:
            case "+":
                permit.succeed(now, took)
            case "s":
                permit.succeed(now, 2.0)
            case "-":
                permit.fail(now, took)
            case "?":
                permit.ignore(now)


def opened(settings=SMALL, now=0.0):
    breaker = Breaker(settings)
    calls(breaker, "-" * settings.minimum_calls, now)
    assert breaker.state is State.OPEN
    return breaker


def half_open(settings=SMALL):
    breaker = opened(settings)
    permit = breaker.acquire(5.0)
    assert breaker.state is State.HALF_OPEN
    return breaker, permit


class TestClosed:
    def test_opens_when_the_failure_rate_is_reached(self):
        breaker = Breaker(SMALL)
        calls(breaker, "+++--")
        assert breaker.state is State.CLOSED
        calls(breaker, "-")
        assert breaker.state is State.OPEN

    def test_judges_only_from_the_minimum_of_calls_on(self):
        breaker = Breaker(SMALL)
        calls(breaker, "---")
        assert (breaker.state, breaker.snapshot(0.0).failure_rate) == (State.CLOSED, None)
        calls(breaker, "+")
        assert breaker.state is State.OPEN  # a success, too, can complete the minimum

    def test_a_count_window_forgets_the_oldest_call(self):
        breaker = Breaker(SMALL)
        calls(breaker, "++++---")
        calls(breaker, "++++++++++")
        assert breaker.snapshot(0.0).failed == 0
        calls(breaker, "----")
        assert breaker.state is State.CLOSED
        calls(breaker, "-")
        assert breaker.state is State.OPEN

    def test_a_time_window_forgets_old_seconds(self):
        breaker = Breaker(BreakerSettings(window=10, by_time=True, minimum_calls=4))
        calls(breaker, "---", now=100.0)
        assert breaker.snapshot(109.9).calls == 3
        assert breaker.snapshot(110.0).calls == 0
        calls(breaker, "+++-", now=110.0)
        assert breaker.state is State.CLOSED
        calls(breaker, "--", now=119.0)
        assert breaker.state is State.OPEN

    def test_a_time_window_survives_a_long_silence(self):
        breaker = Breaker(BreakerSettings(window=10, by_time=True, minimum_calls=4))
        calls(breaker, "+-+", now=0.5)
        calls(breaker, "+-", now=1e6)
        assert (breaker.snapshot(1e6).calls, breaker.snapshot(1e6).failed) == (2, 1)

    def test_opens_when_the_slow_call_rate_is_reached(self):
        breaker = Breaker(SMALL)
        calls(breaker, "+ssss")
        assert breaker.state is State.OPEN

    def test_a_failed_call_may_be_slow_as_well(self):
        breaker = Breaker(SMALL)
        permit = breaker.acquire(0.0)
        permit.fail(2.0, 2.0)
        snapshot = breaker.snapshot(2.0)
        assert (snapshot.calls, snapshot.failed, snapshot.slow) == (1, 1, 1)

    def test_ignored_calls_leave_no_trace(self):
        breaker = Breaker(SMALL)
        calls(breaker, "????????")
        assert breaker.snapshot(0.0).calls == 0

    def test_a_rate_that_is_no_binary_fraction_is_reached_exactly(self):
        breaker = Breaker(BreakerSettings(failure_rate=0.07, window=100, minimum_calls=100))
        calls(breaker, "-" * 7 + "+" * 93)
        assert breaker.state is State.OPEN


class TestOpen:
    def test_refuses_and_counts_it(self):
        breaker = opened()
        assert breaker.acquire(4.999) is None
        assert breaker.snapshot(4.999).refused == 1
        assert breaker.retry_after(3.0) == pytest.approx(2.0)

    def test_turns_half_open_after_its_interval(self):
        breaker = opened()
        assert breaker.acquire(5.0) is not None
        assert breaker.state is State.HALF_OPEN
        assert breaker.retry_after(5.0) == 0.0

    def test_the_interval_grows_up_to_its_cap_and_starts_again_after_closing(self):
        breaker, now, intervals = opened(), 0.0, []
        for _ in range(5):
            intervals.append(breaker.retry_after(now))
            now += intervals[-1]
            calls(breaker, "---", now)
        assert intervals == [5.0, 10.0, 20.0, 30.0, 30.0]
        now += breaker.retry_after(now)
        calls(breaker, "+++", now)
        assert breaker.state is State.CLOSED
        calls(breaker, "----", now)
        assert breaker.retry_after(now) == 5.0

    def test_late_results_of_earlier_calls_decide_nothing(self):
        breaker = Breaker(SMALL)
        late = [breaker.acquire(0.0) for _ in range(20)]
        calls(breaker, "----")
        for permit in late[:10]:
            permit.succeed(1.0)
        assert breaker.state is State.OPEN
        probe = breaker.acquire(5.0)
        for permit in late[10:]:
            permit.fail(5.0)
        assert (breaker.state, breaker.snapshot(5.0).calls) == (State.HALF_OPEN, 0)
        probe.ignore(5.0)


class TestHalfOpen:
    def test_permits_are_limited(self):
        breaker, _ = half_open()
        assert [breaker.acquire(5.0) is not None for _ in range(4)] == [True, True, False, False]
        assert breaker.snapshot(5.0).outstanding == 3

    def test_closes_once_all_probes_are_fine(self):
        breaker, first = half_open()
        first.succeed(5.0)
        calls(breaker, "+", 5.0)
        assert breaker.state is State.HALF_OPEN
        calls(breaker, "+", 5.0)
        assert (breaker.state, breaker.snapshot(5.0).calls) == (State.CLOSED, 0)

    def test_closes_when_failed_probes_are_below_the_rate(self):
        breaker, first = half_open()
        first.fail(5.0)
        calls(breaker, "++", 5.0)
        assert breaker.state is State.CLOSED

    def test_opens_again_when_probes_reach_the_rate(self):
        breaker, first = half_open()
        first.fail(5.0)
        calls(breaker, "-+", 5.0)
        assert breaker.state is State.OPEN

    def test_opens_again_when_probes_are_slow(self):
        breaker, first = half_open()
        first.succeed(7.0, 2.0)
        calls(breaker, "ss", 7.0)
        assert breaker.state is State.OPEN

    @pytest.mark.parametrize("end", ["succeed", "fail", "ignore"])
    def test_every_end_returns_the_permit_once(self, end):
        breaker, first = half_open()
        getattr(first, end)(5.0)
        getattr(first, end)(5.0)
        first.ignore(5.0)
        snapshot = breaker.snapshot(5.0)
        assert (snapshot.outstanding, snapshot.calls) == (0, 0 if end == "ignore" else 1)

    def test_an_ignored_probe_leaves_its_place_to_another(self):
        breaker, first = half_open()
        first.ignore(5.0)
        assert [breaker.acquire(5.0) is not None for _ in range(4)] == [True, True, True, False]

    def test_a_probe_that_never_ends_gives_its_permit_back(self):
        breaker, first = half_open()
        others = [breaker.acquire(6.0), breaker.acquire(7.0)]
        assert breaker.acquire(64.9) is None
        assert breaker.acquire(65.0) is not None
        first.fail(65.0)  # too late: its permit is somebody else's now
        assert breaker.snapshot(65.0).calls == 0
        for permit in others:
            permit.succeed(65.0)

    def test_half_open_for_too_long_opens_again(self):
        settings = BreakerSettings(
            window=4, minimum_calls=4, probes=2, half_open_for=10.0, open_for=Backoff(5.0, 60.0, jitter=0.0)
        )
        breaker, _ = half_open(settings)
        assert breaker.acquire(14.9) is not None
        assert breaker.acquire(15.0) is None
        assert (breaker.state, breaker.retry_after(15.0)) == (State.OPEN, 10.0)

    def test_without_a_limit_it_stays_half_open(self):
        breaker, first = half_open()
        first.ignore(5.0)
        assert breaker.acquire(1e9) is not None
        assert breaker.state is State.HALF_OPEN

    def test_results_of_an_earlier_half_open_time_decide_nothing(self):
        breaker, first = half_open()
        second = breaker.acquire(5.0)
        third = breaker.acquire(5.0)
        first.fail(5.0)
        second.fail(5.0)
        assert breaker.state is State.HALF_OPEN
        breaker.reset(6.0)
        third.fail(6.0)
        assert (breaker.state, breaker.snapshot(6.0).calls) == (State.CLOSED, 0)


class TestByHand:
    def test_disabled_lets_all_through_and_watches_nothing(self):
        breaker = opened()
        breaker.disable(1.0)
        calls(breaker, "-" * 50, 1.0)
        assert (breaker.state, breaker.snapshot(1.0).calls) == (State.DISABLED, 0)

    def test_forced_open_refuses_for_ever(self):
        breaker = Breaker(SMALL)
        breaker.force_open(0.0)
        assert breaker.acquire(1e9) is None
        assert breaker.state is State.FORCED_OPEN
        breaker.reset(1e9)
        assert breaker.acquire(1e9) is not None

    def test_metrics_only_measures_and_never_opens(self):
        breaker = Breaker(SMALL)
        breaker.observe(0.0)
        calls(breaker, "-" * 20)
        snapshot = breaker.snapshot(0.0)
        assert (snapshot.state, snapshot.failure_rate) == (State.METRICS_ONLY, 1.0)

    @pytest.mark.parametrize("state", State)
    def test_reset_closes_from_everywhere(self, state):
        assert MACHINE.next(state, Trigger.RESET) is State.CLOSED

    def test_the_table_has_no_other_ways(self):
        by_itself = {Trigger.TRIP, Trigger.WAITED, Trigger.RECOVERED, Trigger.GAVE_UP}
        ways = {(state, event) for state in State for event in by_itself if MACHINE.allows(state, event)}
        assert ways == {
            (State.CLOSED, Trigger.TRIP),
            (State.OPEN, Trigger.WAITED),
            (State.HALF_OPEN, Trigger.TRIP),
            (State.HALF_OPEN, Trigger.RECOVERED),
            (State.HALF_OPEN, Trigger.GAVE_UP),
        }


class TestTextbook:
    def test_more_than_three_consecutive_failures_open_it(self):
        breaker = Breaker.textbook()
        calls(breaker, "---+---+---")
        assert breaker.state is State.CLOSED
        calls(breaker, "-")
        assert breaker.state is State.OPEN

    def test_five_seconds_then_one_probe(self):
        breaker = opened(TEXTBOOK)
        assert breaker.acquire(4.999) is None
        probe = breaker.acquire(5.0)
        assert probe is not None
        assert breaker.acquire(5.0) is None
        probe.fail(6.0)
        assert breaker.acquire(10.999) is None
        breaker.acquire(11.0).succeed(11.0)
        assert breaker.state is State.CLOSED


class TestEvents:
    def test_listeners_hear_everything_until_they_stop(self):
        breaker, heard = Breaker(TEXTBOOK), []
        stop = breaker.listen(heard.append)
        calls(breaker, "+?----")
        breaker.acquire(1.0)
        breaker.acquire(5.0)
        breaker.snapshot(65.0)
        kinds = [event.kind for event in heard]
        assert kinds == [
            Kind.SUCCEEDED,
            Kind.IGNORED,
            *[Kind.FAILED] * 4,
            Kind.CHANGED,
            Kind.REFUSED,
            Kind.CHANGED,
            Kind.EXPIRED,
        ]
        change = heard[6]
        assert (change.before, change.state, change.trigger) == (State.CLOSED, State.OPEN, Trigger.TRIP)
        stop()
        breaker.reset(70.0)
        assert len(heard) == len(kinds)


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_rate": 0.0},
        {"failure_rate": 1.1},
        {"slow_rate": 0.0},
        {"probes": 0},
        {"window": 0},
        {"window": 5, "minimum_calls": 6},
        {"slow_after": 0.0},
        {"open_for": Backoff(0.0)},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError):
        BreakerSettings(**wrong)
