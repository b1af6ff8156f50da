"""The layers: what they pass on, what they count, and that they always give back."""

import asyncio
from dataclasses import replace

import grpc
import grpc.aio
import pytest
from soukapi.v1.event_pb2 import DeliverRequest, DeliverResponse

from souk.descriptors.contract import Method, Policy, Reason
from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, Caller, use
from souk.kernel.errors import Outcome
from souk.resilience.backoff import Backoff
from souk.resilience.balancer import Balancer, BalancerMember, BalancerSettings, EjectionSettings
from souk.resilience.breaker.breaker import Breaker, BreakerSettings, State
from souk.resilience.breaker.settings import TEXTBOOK
from souk.resilience.bulkhead import ANYBODY, Bulkhead
from souk.resilience.choices import round_robin
from souk.resilience.retry import Retry, RetrySettings
from souk.rpc.call import Call, CallFailed, Reply, not_sent
from souk.rpc.client.layer_stack import Guards, standard_layers, wrapped
from souk.rpc.client.layers import (
    Shed,
    leave,
    verdict,
    with_balancer,
    with_breaker,
    with_bulkhead,
    with_deadline,
    with_retry,
    with_tracing,
    with_try_timeout,
)
from souk.testing.clocks import FakeClock

Code = grpc.StatusCode
OK = Reply(b"ok")
QUICK = RetrySettings(tries=3, backoff=Backoff(0.001, jitter=0.0))


def method(*, idempotent=True, try_timeout=5.0):
    policy = Policy(timeout=10.0, try_timeout=try_timeout)
    return Method("/x.X/Do", "x", DeliverRequest, DeliverResponse, policy=policy, idempotent=idempotent)


def call(clock=None, *, seconds=10.0, key="", **options):
    return Call(method(**options), b"", (), (clock or SystemClock()).monotonic() + seconds, key)


def failure(code=Code.UNAVAILABLE, outcome=Outcome.UNKNOWN, *, breaker_failure=None):
    refusal = None if breaker_failure is None else Reason("R", code, 409, breaker_failure=breaker_failure)
    return CallFailed(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "", outcome=outcome, refusal=refusal)


class Callee:
    """Ends each call as told, then answers OK; `pause` keeps it from answering."""

    def __init__(self, *ends):
        self.ends = list(ends)
        self.calls = []
        self.reached = asyncio.Event()
        self.pause = asyncio.Event()
        self.pause.set()
        self.running = self.most = 0

    async def __call__(self, call):
        self.calls.append(call)
        self.running += 1
        self.most = max(self.most, self.running)
        self.reached.set()
        try:
            await self.pause.wait()
        finally:
            self.running -= 1
        end = self.ends.pop(0) if self.ends else OK
        if isinstance(end, BaseException):
            raise end
        return end


class TestDeadline:
    async def test_nothing_is_sent_after_it(self):
        callee, clock = Callee(), FakeClock()
        with pytest.raises(CallFailed) as failed:
            await with_deadline(clock)(callee)(call(clock, seconds=0.0))
        assert (failed.value.outcome, failed.value.code()) == (Outcome.NOT_SENT, Code.DEADLINE_EXCEEDED)
        assert callee.calls == []

    @pytest.mark.parametrize(("seconds", "seen"), [(10.0, 5.0), (3.0, 3.0)])
    async def test_one_try_gets_no_more_than_its_limit(self, seconds, seen):
        callee, clock = Callee(), FakeClock()
        await with_try_timeout(clock)(callee)(call(clock, seconds=seconds))
        assert callee.calls[0].deadline == clock.monotonic() + seen


class TestTrace:
    async def test_every_end_is_told(self):
        told = []
        error = failure()
        invoke = with_tracing(FakeClock(), lambda call, took, error: told.append(error))(Callee(OK, error))
        await invoke(call())
        with pytest.raises(CallFailed):
            await invoke(call())
        assert told == [None, error]


class TestRetry:
    def wrap(self, callee, clock=None):
        return with_retry(Retry(QUICK), clock or SystemClock())(callee)

    @pytest.mark.parametrize(
        ("options", "tries"),
        [({"idempotent": True}, 3), ({"idempotent": False}, 1), ({"idempotent": False, "key": "k"}, 3)],
    )
    async def test_only_what_does_no_harm_is_tried_again(self, options, tries):
        callee = Callee(*[failure() for _ in range(9)])
        with pytest.raises(CallFailed):
            await self.wrap(callee)(call(**options))
        assert len(callee.calls) == tries

    async def test_who_retries_himself_has_one_try(self):
        callee = Callee(failure())
        with use(CallContext(one_try=True)), pytest.raises(CallFailed):
            await self.wrap(callee)(call())
        assert len(callee.calls) == 1

    async def test_a_refusal_stands(self):
        callee = Callee(failure(outcome=Outcome.REFUSED, breaker_failure=False))
        with pytest.raises(CallFailed):
            await self.wrap(callee)(call())
        assert len(callee.calls) == 1

    async def test_a_try_that_was_not_sent_does_not_undo_one_that_may_have_been(self):
        doubtful = failure()
        callee = Callee(doubtful, Shed("open", retry_after=3.0))
        with pytest.raises(CallFailed) as failed:
            await self.wrap(callee)(call())
        assert failed.value is doubtful
        assert (failed.value.outcome, failed.value.retry_after) == (Outcome.UNKNOWN, 3.0)

    async def test_an_open_breaker_is_not_pressed(self):
        callee = Callee(Shed("open"))
        with pytest.raises(Shed):
            await self.wrap(callee)(call())
        assert len(callee.calls) == 1

    async def test_it_goes_elsewhere_first(self):
        callee = Callee(failure(), failure())
        balancer = Balancer(round_robin())
        balancer.update([BalancerMember("a"), BalancerMember("b"), BalancerMember("c")], 0.0)
        invoke = self.wrap(with_balancer(balancer, "x", SystemClock())(callee))
        assert await invoke(call()) == OK
        assert {call.instance for call in callee.calls} == {"a", "b", "c"}

    async def test_never_past_the_deadline(self):
        clock = FakeClock()
        callee = Callee(failure(), failure())
        with pytest.raises(CallFailed):
            await self.wrap(callee, clock)(call(clock, seconds=0.001))
        assert len(callee.calls) == 1


class TestBulkhead:
    async def test_queues_and_lets_in(self):
        callee, policy = Callee(), Bulkhead(running=2, waiting=10)
        callee.pause.clear()
        invoke = with_bulkhead(policy, "x", SystemClock())(callee)
        tasks = [asyncio.ensure_future(invoke(call())) for _ in range(6)]
        await callee.reached.wait()
        await asyncio.sleep(0)
        assert (policy.running, policy.waiting) == (2, 4)
        callee.pause.set()
        assert await asyncio.gather(*tasks) == [OK] * 6
        assert (policy.running, policy.waiting, callee.most) == (0, 0, 2)

    async def test_turns_away_when_too_many_wait(self):
        policy = Bulkhead(running=1, waiting=0)
        policy.try_enter()
        with pytest.raises(Shed):
            await with_bulkhead(policy, "x", SystemClock())(Callee())(call())

    async def test_waits_until_the_deadline(self):
        policy = Bulkhead(running=1, waiting=1)
        policy.try_enter()
        with pytest.raises(CallFailed) as failed:
            await with_bulkhead(policy, "x", SystemClock())(Callee())(call(seconds=0.02))
        assert (failed.value.outcome, policy.waiting) == (Outcome.NOT_SENT, 0)

    async def test_a_user_who_asks_for_much_delays_himself(self):
        callee, policy = Callee(), Bulkhead(running=2, waiting=10, user_running=1, user_waiting=3)
        callee.pause.clear()
        invoke = with_bulkhead(policy, "x", SystemClock())(callee)

        def asked(user: str) -> asyncio.Future:
            with use(CallContext(caller=Caller(user, service="gateway"))):
                return asyncio.ensure_future(invoke(call()))

        many = [asked("U-1") for _ in range(5)]
        await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
        assert [isinstance(one.exception(), Shed) for one in many if one.done()] == [True]
        other = asked("U-2")
        await asyncio.sleep(0)
        assert (policy.running, policy.waiting) == (2, 3)
        callee.pause.set()
        assert await other == OK
        await asyncio.wait(many)
        assert (policy.running, policy.waiting) == (0, 0)

    async def test_cancelling_gives_the_place_back(self):
        callee, policy = Callee(), Bulkhead(running=1, waiting=1)
        callee.pause.clear()
        invoke = with_bulkhead(policy, "x", SystemClock())(callee)
        first = asyncio.ensure_future(invoke(call()))
        await callee.reached.wait()
        second = asyncio.ensure_future(invoke(call()))
        await asyncio.sleep(0)
        for task in (second, first):
            task.cancel()
            await asyncio.wait([task])
        assert (policy.running, policy.waiting) == (0, 0)

    @pytest.mark.parametrize("cancelled_first", [False, True])
    async def test_a_place_given_to_one_who_leaves_is_passed_on(self, cancelled_first):
        policy = Bulkhead(running=1, waiting=5)
        policy.try_enter()
        invoke = with_bulkhead(policy, "x", SystemClock())(Callee())
        leaver, other = (asyncio.ensure_future(invoke(call())) for _ in range(2))
        await asyncio.sleep(0)
        assert policy.waiting == 2
        if cancelled_first:
            leaver.cancel()
            leave(policy, ANYBODY)
        else:
            leave(policy, ANYBODY)
            leaver.cancel()
        assert await other == OK
        assert leaver.cancelled()
        assert (policy.running, policy.waiting) == (0, 0)


def half_open(clock, **options):
    breaker = Breaker(BreakerSettings(failure_rate=1.0, window=4, minimum_calls=4, probes=1, **options))
    for _ in range(4):
        breaker.acquire(clock.monotonic()).fail(clock.monotonic())
    clock.advance(breaker.retry_after(clock.monotonic()))
    return breaker


class TestBreaker:
    async def test_refuses_without_sending_and_says_when_to_come_back(self):
        clock, callee = FakeClock(), Callee(*[failure() for _ in range(4)])
        invoke = with_breaker(Breaker(TEXTBOOK), "x", clock)(callee)
        for _ in range(4):
            with pytest.raises(CallFailed):
                await invoke(call(clock))
        with pytest.raises(Shed) as shed:
            await invoke(call(clock))
        assert (shed.value.outcome, shed.value.retry_after) == (Outcome.NOT_SENT, 5.0)
        assert len(callee.calls) == 4

    @pytest.mark.parametrize(
        ("error", "took", "outstanding", "state"),
        [
            (None, 0.0, 0, State.CLOSED),
            (failure(), 0.0, 0, State.OPEN),
            (failure(Code.NOT_FOUND, Outcome.REFUSED, breaker_failure=False), 0.0, 0, State.CLOSED),
            (failure(Code.UNAVAILABLE, Outcome.REFUSED, breaker_failure=True), 0.0, 0, State.OPEN),
            (failure(Code.DEADLINE_EXCEEDED), 1.0, 0, State.HALF_OPEN),
            (failure(Code.DEADLINE_EXCEEDED), 5.0, 0, State.OPEN),
            (not_sent("no instance"), 0.0, 0, State.OPEN),
            (asyncio.CancelledError(), 1.0, 0, State.HALF_OPEN),
            (asyncio.CancelledError(), 5.0, 0, State.OPEN),
            (ZeroDivisionError(), 0.0, 0, State.HALF_OPEN),
        ],
    )
    async def test_every_end_gives_the_permit_back(self, error, took, outstanding, state):
        clock = FakeClock()
        breaker = half_open(clock)

        async def callee(call):
            assert breaker.snapshot(clock.monotonic()).outstanding == 1
            clock.advance(took)
            if error is not None:
                raise error
            return OK

        invoke = with_breaker(breaker, "x", clock)(callee)
        if error is None:
            await invoke(call(clock))
        else:
            with pytest.raises(type(error)):
                await invoke(call(clock))
        assert (breaker.snapshot(clock.monotonic()).outstanding, breaker.state) == (outstanding, state)

    async def test_a_task_that_is_cancelled_gives_the_permit_back(self):
        clock, callee = FakeClock(), Callee()
        breaker = half_open(clock)
        callee.pause.clear()
        task = asyncio.ensure_future(with_breaker(breaker, "x", clock)(callee)(call(clock)))
        await callee.reached.wait()
        assert breaker.acquire(clock.monotonic()) is None
        task.cancel()
        await asyncio.wait([task])
        assert breaker.acquire(clock.monotonic()) is not None


class TestBalancer:
    async def test_without_instances_nothing_is_sent(self):
        with pytest.raises(CallFailed) as failed:
            await with_balancer(Balancer(), "x", FakeClock())(Callee())(call())
        assert failed.value.outcome is Outcome.NOT_SENT

    async def test_failures_eject_and_cancelling_does_not(self):
        clock = FakeClock()
        balancer = Balancer(round_robin(), BalancerSettings(EjectionSettings(failures=1)))
        balancer.update([BalancerMember("a"), BalancerMember("b")], 0.0)
        callee = Callee(asyncio.CancelledError(), failure())
        invoke = with_balancer(balancer, "x", clock)(callee)
        with pytest.raises(asyncio.CancelledError):
            await invoke(call(clock))
        assert balancer.ejected(clock.monotonic()) == []
        with pytest.raises(CallFailed):
            await invoke(call(clock))
        assert balancer.ejected(clock.monotonic()) == [callee.calls[1].instance]
        instances = [balancer.pick(clock.monotonic()) for _ in range(2)]
        assert [instance.outstanding for instance in instances] == [2, 2]


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_verdict_and_business_answers_are_none_of_the_callees_failures(code):
    counted = {Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS}
    silent = {Code.CANCELLED, Code.DEADLINE_EXCEEDED}
    expected = None if code in silent else code in counted
    assert verdict(failure(code), 0.0, 5.0) is expected


class TestTogether:
    async def test_a_call_goes_through_all_of_them(self):
        clock, callee, told = SystemClock(), Callee(failure()), []
        balancer, breaker, bulkhead = Balancer(), Breaker(), Bulkhead()
        balancer.update([BalancerMember("a"), BalancerMember("b")], 0.0)
        layers = standard_layers(
            "x",
            clock,
            retry=Retry(QUICK),
            balancer=balancer,
            guards=lambda method: Guards(bulkhead, breaker),
            ended=lambda call, took, error: told.append(error),
        )
        assert await wrapped(callee, layers)(call(clock)) == OK
        assert {call.instance for call in callee.calls} == {"a", "b"}
        assert told == [None]
        assert (breaker.snapshot(clock.monotonic()).calls, breaker.snapshot(clock.monotonic()).failed) == (2, 1)
        assert bulkhead.running == 0

    async def test_a_method_that_fails_closes_no_other(self):
        clock, made = SystemClock(), []
        callee = Callee(*[failure() for _ in range(4)])

        def guards(method):
            made.append(method.name)
            return Guards(breaker=Breaker(TEXTBOOK))

        layers = standard_layers("x", clock, retry=Retry(replace(QUICK, tries=1)), guards=guards)
        invoke, asked = wrapped(callee, layers), call(clock)
        other = asked._replace(method=replace(asked.method, full_name="/souktest.v1.Probe/Other"))
        for _ in range(4):
            with pytest.raises(CallFailed):
                await invoke(asked)
        with pytest.raises(Shed):
            await invoke(asked)
        assert await invoke(other) == OK
        assert made == [asked.method.name, "Other"]

    async def test_a_caller_that_leaves_leaves_nothing_behind(self):
        clock, callee = SystemClock(), Callee()
        balancer, bulkhead = Balancer(), Bulkhead(running=1)
        fake = FakeClock(monotonic=clock.monotonic() - 1_000.0)
        breaker = half_open(fake)
        balancer.update([BalancerMember("a")], 0.0)
        callee.pause.clear()
        layers = standard_layers("x", clock, balancer=balancer, guards=lambda method: Guards(bulkhead, breaker))
        invoke = wrapped(callee, layers)
        task = asyncio.ensure_future(invoke(call(clock)))
        await callee.reached.wait()
        task.cancel()
        await asyncio.wait([task])
        assert (bulkhead.running, breaker.snapshot(clock.monotonic()).outstanding) == (0, 0)
        assert balancer.pick(clock.monotonic()).outstanding == 1
