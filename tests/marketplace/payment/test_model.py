"""Any sequence of charges, cancellations, refunds, top-ups and crashes, against a simple model."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from souk.faults import Faults
from souk.kernel.errors import DomainError
from souk.testing.clocks import FakeClock
from tests.properties import examples

TOKENS = ["tok_visa", "tok_visa", "tok_timeout", "tok_declined", "tok_error"]
SOURCES = st.sampled_from(["wallet", "wallet", "wallet", *TOKENS])
KEYS = st.sampled_from([f"k{number}" for number in range(8)])
AMOUNTS = st.sampled_from([100, 250, 700])
POINTS = [
    "payment.charge.intent-recorded",
    "payment.charge.provider-answered",
    "payment.charge.recorded",
    "payment.cancel.recorded",
    "payment.settle.provider-answered",
    "payment.refund.promised",
    "payment.refund.provider-answered",
    "payment.top-up.intent-recorded",
]


class Crash(BaseException):
    """Stands for the death of the process: no handler catches it."""


def _die() -> None:
    raise Crash


@dataclass
class Charged:
    source: str
    amount: int
    state: str
    payment_id: str = ""
    refunded: int = 0


class Model:
    """What must be true of one user's money."""

    def __init__(self) -> None:
        self.balance = 0
        self.charges: dict[str, Charged] = {}
        self.refunds: dict[str, tuple[str, int]] = {}
        self.top_ups: dict[str, tuple[int, str, str]] = {}

    def charge(self, key: str, source: str, amount: int) -> str:
        known = self.charges.get(key)
        if known is None or (
            known.state == "PAYMENT_UNAVAILABLE" and known.source == source and known.amount == amount
        ):
            known = self.charges[key] = Charged(source, amount, self._verdict(source, amount))
        elif known.state != "blocked" and (known.source, known.amount) != (source, amount):
            return "IDEMPOTENCY_KEY_REUSED"
        return "CHARGE_CANCELLED" if known.state in ("blocked", "undone", "void") else known.state

    def _verdict(self, source: str, amount: int) -> str:
        if source == "wallet":
            if self.balance < amount:
                return "PAYMENT_DECLINED"
            self.balance -= amount
        return {"tok_declined": "PAYMENT_DECLINED", "tok_error": "PAYMENT_UNAVAILABLE"}.get(source, "captured")

    def cancel(self, key: str) -> None:
        charge = self.charges.setdefault(key, Charged("", 0, "blocked"))
        if charge.state == "captured" and charge.refunded < charge.amount:
            self._give_back(charge, charge.amount - charge.refunded)
            charge.state = "undone"
        elif charge.state == "PAYMENT_UNAVAILABLE":
            charge.state = "void"

    def _give_back(self, charge: Charged, amount: int) -> None:
        charge.refunded += amount
        if charge.source == "wallet":
            self.balance += amount

    def refund(self, charge_key: str, amount: int, key: str) -> str:
        charge = self.charges[charge_key]
        if key in self.refunds:
            return "ok" if self.refunds[key] == (charge_key, amount) else "IDEMPOTENCY_KEY_REUSED"
        if charge.refunded + amount > charge.amount:
            return "REFUND_TOO_LARGE"
        self.refunds[key] = (charge_key, amount)
        self._give_back(charge, amount)
        return "ok"

    def top_up(self, key: str, amount: int, token: str) -> str:
        state = {"tok_declined": "PAYMENT_DECLINED", "tok_error": "PAYMENT_UNAVAILABLE"}.get(token, "ok")
        if key in self.top_ups:
            known = self.top_ups[key]
            return known[2] if known[:2] == (amount, token) else "IDEMPOTENCY_KEY_REUSED"
        self.top_ups[key] = (amount, token, state)
        self.balance += amount if state == "ok" else 0
        return state


class Payment(RuleBasedStateMachine):
    open_till: Any

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.model = Model()
        self.start()
        self.cards = {token: self.runner.run(self.desk.card(token)) for token in set(TOKENS)}

    def start(self) -> None:
        self.faults = Faults({}, strike=_die)
        self.context = self.open_till(Path(self.folder.name), self.clock, self.faults)
        self.desk = self.runner.run(self.context.__aenter__())

    def stop(self) -> None:
        self.runner.run(self.context.__aexit__(None, None, None))

    def teardown(self) -> None:
        self.runner.run(self.desk.recover())
        self.runner.run(self.desk.reconcile())
        assert self.runner.run(self.desk.balance()) == self.model.balance
        self.stop()
        self.runner.close()
        self.folder.cleanup()

    def outcome(self, call) -> Any:
        """Gives the answer or the reason; after a crash, that of the restarted service to the same request."""
        for _ in range(3):
            try:
                return self.runner.run(self.within(call()))
            except Crash:
                self.stop()
                self.start()
            except DomainError as refused:
                return refused.reason
        raise AssertionError("a fault strikes once")

    async def within(self, call) -> Any:
        return await call

    @initialize(amount=st.sampled_from([300, 1_000]))
    def first_money(self, amount) -> None:
        self.top_up("first", amount, "tok_visa")

    @rule(point=st.sampled_from(POINTS))
    def next_crash(self, point) -> None:
        self.faults.armed = {point: 0}
        self.faults._passed.clear()

    @rule(key=KEYS, source=SOURCES, amount=AMOUNTS)
    def charge(self, key, source, amount) -> None:
        expected = self.model.charge(key, source, amount)
        answer = self.outcome(lambda: self.desk.charge(key, self.cards.get(source), amount))
        if expected == "captured":
            self.model.charges[key].payment_id = answer.payment_id
            assert answer.status in (2, 5, 6)
        else:
            assert answer == expected

    @rule(data=st.data())
    @precondition(lambda self: self.model.charges)
    def charge_again(self, data) -> None:
        key = data.draw(st.sampled_from(sorted(self.model.charges)))
        known = self.model.charges[key]
        self.charge(key, known.source or "wallet", known.amount or 100)

    @rule(key=KEYS)
    def cancel(self, key) -> None:
        self.model.cancel(key)
        assert self.outcome(lambda: self.desk.cancel(key))[1]

    def captured(self) -> list[str]:
        return sorted(key for key, charge in self.model.charges.items() if charge.payment_id)

    @rule(data=st.data(), amount=AMOUNTS, key=st.sampled_from("abcdef"))
    @precondition(lambda self: self.captured())
    def refund(self, data, amount, key) -> None:
        charge_key = data.draw(st.sampled_from(self.captured()))
        expected = self.model.refund(charge_key, amount, key)
        payment_id = self.model.charges[charge_key].payment_id
        answer = self.outcome(lambda: self.desk.refund(payment_id, amount, key))
        if expected == "ok":
            assert answer.refunded == self.model.charges[charge_key].refunded
        else:
            assert answer == expected

    @rule(key=st.sampled_from("tuvwx"), amount=AMOUNTS, token=st.sampled_from(TOKENS))
    def top_up(self, key, amount, token) -> None:
        expected = self.model.top_up(key, amount, token)
        answer = self.outcome(lambda: self.desk.top_up(key, amount, token))
        assert answer == (self.model.balance if expected == "ok" else expected)

    @rule()
    def restart(self) -> None:
        self.stop()
        self.start()

    @rule()
    def time_passes(self) -> None:
        self.runner.run(self.within(self.desk.recover(11)))

    @invariant()
    def the_wallet_holds_what_it_should(self) -> None:
        assert self.runner.run(self.desk.balance()) == self.model.balance
        self.runner.run(self.desk.reconcile())


@pytest.mark.hypothesis
def test_any_sequence_of_calls_keeps_the_ledger(till) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    limits = settings(max_examples=examples(30), stateful_step_count=30, deadline=None, suppress_health_check=checks)
    opened = type("OpenedPayment", (Payment,), {"open_till": staticmethod(till)})
    run_state_machine_as_test(opened, settings=limits)
