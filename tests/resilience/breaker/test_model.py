"""The breaker against a model, in any order of calls, ends and leaks."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from souk.resilience.backoff import Backoff
from souk.resilience.breaker.breaker import Breaker, BreakerSettings, Kind, State
from tests.properties import examples


class BreakerModel(RuleBasedStateMachine):
    permits = Bundle("permits")

    @initialize(
        by_time=st.booleans(), probes=st.integers(1, 4), minimum=st.integers(1, 5), limit=st.sampled_from([None, 8.0])
    )
    def start(self, by_time, probes, minimum, limit):
        self.settings = BreakerSettings(
            window=6,
            by_time=by_time,
            minimum_calls=minimum,
            probes=probes,
            probe_lease=10.0,
            half_open_for=limit,
            slow_after=3.0,
            open_for=Backoff(4.0, 16.0, jitter=0.0),
        )
        self.breaker = Breaker(self.settings)
        self.now = 0.0
        self.events = []
        self.breaker.listen(self.events.append)
        self.opened_at = self.half_open_at = None
        self.given = []  # (permit, when) of this half-open time that have not ended

    @rule(target=permits)
    def acquire(self):
        before, refused = self.breaker.state, self.breaker.refused
        permit = self.breaker.acquire(self.now)
        if permit is None:
            assert self.breaker.refused == refused + 1
            assert self.breaker.state in (State.OPEN, State.HALF_OPEN, State.FORCED_OPEN)
        else:
            assert self.breaker.refused == refused
            assert self.breaker.state not in (State.OPEN, State.FORCED_OPEN)
        if before is State.FORCED_OPEN:
            assert permit is None
        if before in (State.CLOSED, State.DISABLED, State.METRICS_ONLY):
            assert permit is not None
        self._follow()
        if permit is not None and self.breaker.state is State.HALF_OPEN:
            self.given.append((permit, self.now))
        return permit

    @rule(permit=consumes(permits), end=st.sampled_from(["succeed", "fail", "ignore"]), twice=st.booleans())
    def end(self, permit, end, twice):
        if permit is None:
            return
        state = self.breaker.state
        self.given = [(held, at) for held, at in self.given if held is not permit]
        getattr(permit, end)(self.now)
        if end == "ignore":
            assert self.breaker.state is state
        if twice and state is State.HALF_OPEN and self.breaker.state is State.HALF_OPEN:
            snapshot = self.breaker.snapshot(self.now)
            permit.ignore(self.now)
            assert self.breaker.snapshot(self.now) == snapshot
        self._follow()

    @rule(permit=consumes(permits))
    def leak(self, permit):
        """Loses a permit: nobody ends its call."""

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 11.0, 100.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule(what=st.sampled_from(["reset", "disable", "force_open", "observe"]), seldom=st.integers(0, 4))
    def by_hand(self, what, seldom):
        if seldom == 0 or self.breaker.state in (State.DISABLED, State.FORCED_OPEN, State.METRICS_ONLY):
            getattr(self.breaker, what if seldom == 0 else "reset")(self.now)
            self._follow()

    @precondition(lambda self: self.breaker.state is State.CLOSED)
    @rule(target=permits)
    def break_down(self):
        """Fails calls until the breaker opens, waits, and makes it half open, where mistakes are likely."""
        while self.breaker.state is State.CLOSED:
            self.breaker.acquire(self.now).fail(self.now)
        self._follow()
        self.now += self.breaker.retry_after(self.now)
        return self.acquire()

    @rule()
    def is_never_stuck(self):
        """After a long wait the breaker gives a permit, whatever was lost."""
        if self.breaker.state is not State.FORCED_OPEN:
            self.now += 50.0
            permit = self.breaker.acquire(self.now)
            if permit is None:  # half open for too long: it opened again
                self.now += 50.0
                permit = self.breaker.acquire(self.now)
            assert permit is not None
            permit.ignore(self.now)
            self._follow()

    def _follow(self):
        for event in self.events:
            if event.kind is Kind.CHANGED:
                self.given = []
                if event.state is State.OPEN:
                    self.opened_at = event.at
                if event.before is State.OPEN and event.state is State.HALF_OPEN:
                    assert event.at >= self.opened_at + 4.0
        self.events.clear()

    @invariant()
    def permits_never_leak(self):
        snapshot = self.breaker.snapshot(self.now)
        self.events.clear()
        held = [permit for permit, at in self.given if self.now < at + self.settings.probe_lease]
        if snapshot.state is State.HALF_OPEN:
            assert snapshot.outstanding == len(held)
            assert snapshot.outstanding + snapshot.calls <= self.settings.probes
        else:
            assert snapshot.outstanding == 0

    @invariant()
    def sums_fit(self):
        snapshot = self.breaker.snapshot(self.now)
        assert 0 <= snapshot.failed <= snapshot.calls
        assert 0 <= snapshot.slow <= snapshot.calls
        if snapshot.state is State.CLOSED and snapshot.failure_rate is not None and not self.settings.by_time:
            assert snapshot.failure_rate < self.settings.failure_rate


BreakerModel.TestCase.settings = settings(max_examples=examples(100), stateful_step_count=50, deadline=None)
TestBreakerModel = BreakerModel.TestCase
