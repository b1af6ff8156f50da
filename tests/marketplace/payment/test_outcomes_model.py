"""What was told as retryable stays so: every answer of the provider, crashes, and duplicates at two replicas.

`lost` is the failure that the client's rule is there to prevent: the provider has charged, and this side
believes that it was never reached. The comparison with the provider's record must make it good.
"""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from marketplace.payment.ports import ProviderRefused, ProviderSilent, ProviderUnavailable
from marketplace.payment.servicer import PaymentServicer
from souk.faults import Faults
from souk.kernel.errors import DomainError
from souk.kernel.key_locks import KeyLocks
from souk.testing.clocks import FakeClock
from souk.testing.service_host import AbortedError, HeldToContract
from tests.properties import examples

ORDERS, TOP_UPS = ("o1", "o2", "o3"), ("t1", "t2", "t3")
TOKENS = ("tok_visa", "tok_visa", "tok_declined", "tok_error", "tok_timeout")
WELL = "well"
MOODS = (WELL, WELL, "away", "refuses", "silent", "silent after", "lost")
RETRYABLE = {"PAYMENT_UNAVAILABLE", "REQUEST_IN_PROGRESS", "unknown"}
POINTS = (
    "payment.charge.intent-recorded",
    "payment.top-up.intent-recorded",
    "payment.charge.provider-answered",
    "payment.charge.recorded",
    "payment.settle.provider-answered",
    "payment.refund.provider-answered",
)


class Crash(BaseException):
    """Stands for the death of the process: no handler catches it."""


def _die() -> None:
    raise Crash


class Moody:
    """A provider whose next answers a test prescribes."""

    def __init__(self, provider: Any, moods: list[str]) -> None:
        self._provider = provider
        self._moods = moods

    def __getattr__(self, name: str) -> Any:
        work = getattr(self._provider, name)
        if name in ("face_of", "close"):
            return work

        async def ask(*arguments: Any) -> Any:
            mood = self._moods.pop(0) if self._moods else WELL
            if mood == "away" or (mood == "lost" and name != "charge"):
                raise ProviderUnavailable("away")
            if mood == "refuses":
                raise ProviderRefused("provider_error")
            if mood == "silent":
                raise ProviderSilent("silent")
            answer = await work(*arguments)
            if mood == "silent after":
                raise ProviderSilent("silent")
            if mood == "lost":
                raise ProviderUnavailable("away")
            return answer

        return ask


class Outcomes(RuleBasedStateMachine):
    open_till: Any

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.moods: list[str] = []
        self.tokens: dict[str, str] = {}
        self.told: dict[str, str] = {}
        self.start()
        self.cards = {token: self.runner.run(self.desk.card(token)) for token in set(TOKENS)}

    def start(self) -> None:
        self.faults = Faults({}, strike=_die)
        wrap = lambda provider: Moody(provider, self.moods)  # noqa: E731
        self.context = self.open_till(Path(self.folder.name), self.clock, self.faults, wrap)
        self.desk = self.runner.run(self.context.__aenter__())
        other = replace(self.desk.deps, locks=KeyLocks())
        self.other = replace(self.desk, deps=other, servicer=HeldToContract(PaymentServicer(other)))

    def stop(self) -> None:
        self.runner.run(self.context.__aexit__(None, None, None))

    async def ask(self, desk: Any, key: str) -> str:
        token = self.tokens[key]
        try:
            if key in ORDERS:
                await desk.charge(key, self.cards[token], 500, order=key)
            else:
                await desk.top_up(key, 500, token)
        except DomainError as refused:
            reason = refused.details[0].reason if refused.reason == "PAYMENT_DECLINED" else refused.reason
            return str(reason)
        except AbortedError:
            return "unknown"
        return "done"

    async def ask_both(self, key: str, times: int) -> list[str]:
        desks = [self.desk, self.other][:times]
        answers = await asyncio.gather(*(self.ask(desk, key) for desk in desks), return_exceptions=True)
        crash = next((answer for answer in answers if isinstance(answer, Crash)), None)
        if crash is not None:
            raise crash
        return [answer for answer in answers if isinstance(answer, str)]

    def check(self, key: str, answer: str) -> None:
        """An answer against the one before: what is final stays, what is retryable is decided by the provider alone."""
        before = self.told.get(key, "unknown")
        allowed = RETRYABLE | {"done"}
        if self.tokens[key] == "tok_declined":
            allowed = RETRYABLE | {"card_declined"}
        if before not in RETRYABLE:
            allowed = {before}
        assert answer in allowed, (key, before, answer)
        self.told[key] = answer

    @rule(
        key=st.sampled_from(ORDERS + TOP_UPS),
        token=st.sampled_from(TOKENS),
        times=st.sampled_from([1, 1, 2]),
        moods=st.lists(st.sampled_from(MOODS), max_size=4),
        point=st.sampled_from(("",) * 6 + POINTS),
    )
    def request(self, key: str, token: str, times: int, moods: list[str], point: str) -> None:
        # Of what was lost for an order only the recovery knows; its key is not used again, as a saga's is not.
        if self.told.get(key) == "PAYMENT_UNAVAILABLE" and key in ORDERS:
            return
        self.tokens.setdefault(key, token)
        self.moods[:] = moods
        self.faults.armed = {point: 0} if point else {}
        self.faults._passed.clear()
        try:
            answers = self.runner.run(self.ask_both(key, times))
        except Crash:
            self.stop()
            self.start()
            return
        finally:
            self.faults.armed = {}
            self.moods.clear()
        for answer in sorted(answers, key=lambda answer: answer not in RETRYABLE):
            self.check(key, answer)

    @rule(seconds=st.sampled_from([11, 3_700, 25 * 3_600]), moods=st.lists(st.sampled_from(MOODS), max_size=3))
    def time_passes(self, seconds: int, moods: list[str]) -> None:
        self.moods[:] = [mood for mood in moods if mood != "lost"]
        self.runner.run(self.desk.recover(seconds))
        self.moods.clear()

    def teardown(self) -> None:
        for _ in range(4):
            self.runner.run(self.desk.recover(3_700))
        for key in self.tokens:  # the provider is well: what may be tried again comes to the provider's own end
            if self.told.get(key) != "PAYMENT_UNAVAILABLE" or key in TOP_UPS:
                self.check(key, self.runner.run(self.ask(self.desk, key)))
                failing = self.tokens[key] == "tok_error"
                assert (self.told[key] in RETRYABLE) is failing, (key, self.told[key])
        self.runner.run(self.desk.recover(3_700))
        self.runner.run(self.desk.reconcile())
        paid = sum(500 for answer in self.told.values() if answer == "done")
        assert self.runner.run(self.desk.bank.taken("EUR")) == paid
        self.stop()
        self.runner.close()
        self.folder.cleanup()


@pytest.mark.hypothesis
def test_what_was_told_as_retryable_stays_retryable(till: Any) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    limits = settings(max_examples=examples(25), stateful_step_count=10, deadline=None, suppress_health_check=checks)
    opened = type("OpenedOutcomes", (Outcomes,), {"open_till": staticmethod(till)})
    run_state_machine_as_test(opened, settings=limits)
