"""Any sequence of calls, against a model that is too simple to be wrong."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from marketplace.inventory.service import deps_of
from marketplace.inventory.use_cases.expire_reservations import expire_reservations
from souk.kernel.errors import DomainError
from tests.properties import examples

PRODUCTS = st.sampled_from(["P-1", "P-2", "P-3"])
KEYS = st.sampled_from([f"k{number}" for number in range(6)])
ITEMS = st.dictionaries(PRODUCTS, st.integers(1, 4), min_size=1)
NAMES = {1: "reserved", 2: "released", 3: "expired", 4: "committed", 5: "returned"}


@dataclass
class Reserved:
    state: str
    items: dict[str, int] = field(default_factory=dict)
    expires_at: int = 0


class Model:
    """What must be true, kept in dictionaries."""

    def __init__(self) -> None:
        self.received: dict[str, int] = {}
        self.reservations: dict[str, Reserved] = {}
        self.adjustments: dict[str, tuple[str, int, int]] = {}

    def held(self, product: str, *states: str) -> int:
        return sum(r.items.get(product, 0) for r in self.reservations.values() if r.state in states)

    def available(self, product: str) -> int:
        return self.received.get(product, 0) - self.held(product, "reserved", "committed")

    def fits(self, items: dict[str, int]) -> bool:
        return all(self.available(product) >= quantity for product, quantity in items.items())

    def adjust(self, product: str, delta: int, key: str) -> Any:
        if key in self.adjustments:
            known = self.adjustments[key]
            return known[2] if known[:2] == (product, delta) else "IDEMPOTENCY_KEY_REUSED"
        if self.available(product) + delta < 0:
            return "OUT_OF_STOCK"
        self.received[product] = self.received.get(product, 0) + delta
        self.adjustments[key] = (product, delta, self.available(product))
        return self.available(product)

    def reserve(self, key: str, items: dict[str, int], expires_at: int) -> str:
        known = self.reservations.get(key)
        if known is not None and known.state == "released":
            return "RESERVATION_RELEASED"
        if known is not None and known.items != items:
            return "IDEMPOTENCY_KEY_REUSED"
        if known is not None and known.state != "expired":
            return known.state
        if not self.fits(items):
            return "OUT_OF_STOCK"
        self.reservations[key] = Reserved("reserved", items, expires_at)
        return "reserved"

    def release(self, key: str) -> str:
        known = self.reservations.setdefault(key, Reserved("released"))
        if known.state in ("committed", "returned"):
            return "RESERVATION_COMMITTED"
        known.state = "released"
        return "released"

    def commit(self, key: str) -> str:
        known = self.reservations.get(key)
        if known is None:
            return "RESERVATION_NOT_FOUND"
        if known.state == "released":
            return "RESERVATION_RELEASED"
        if known.state == "expired" and not self.fits(known.items):
            return "OUT_OF_STOCK"
        if known.state in ("reserved", "expired"):
            known.state = "committed"
        return known.state

    def take_back(self, key: str) -> str:
        known = self.reservations.get(key)
        if known is None or known.state not in ("committed", "returned"):
            return "RESERVATION_NOT_FOUND"
        known.state = "returned"
        return "returned"

    def expire(self, now: int) -> None:
        for reservation in self.reservations.values():
            if reservation.state == "reserved" and reservation.expires_at <= now:
                reservation.state = "expired"


class Inventory(RuleBasedStateMachine):
    open_shop: Any

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.context = self.open_shop(Path(self.folder.name))
        self.shop = self.runner.run(self.context.__aenter__())
        self.model = Model()
        for product in ("P-1", "P-2", "P-3"):
            self.adjust(product, 10, f"first {product}")

    def teardown(self) -> None:
        self.runner.run(self.context.__aexit__(None, None, None))
        self.runner.close()
        self.folder.cleanup()

    def outcome(self, call) -> Any:
        try:
            return self.runner.run(call)
        except DomainError as refused:
            return refused.reason

    @rule(product=PRODUCTS, delta=st.integers(-8, 12).filter(bool), key=st.sampled_from("abcdefgh"))
    def adjust(self, product, delta, key) -> None:
        assert self.outcome(self.shop.adjust(product, delta, key)) == self.model.adjust(product, delta, key)

    @rule(key=KEYS, items=ITEMS, ttl=st.sampled_from([60, 60, 600]))
    def reserve(self, key, items, ttl) -> None:
        expected = self.model.reserve(key, items, self.shop.clock.now() + ttl * 1_000_000)
        answer = self.outcome(self.shop.reserve(key, items, ttl))
        assert NAMES.get(answer, answer) == expected

    @precondition(lambda self: self.model.reservations)
    @rule(data=st.data())
    def reserve_again(self, data) -> None:
        key = data.draw(st.sampled_from(sorted(self.model.reservations)))
        self.reserve(key, self.model.reservations[key].items or {"P-1": 1}, 60)

    @rule(key=KEYS, verb=st.sampled_from(["release", "commit", "commit", "take_back"]))
    def change(self, key, verb) -> None:
        answer = self.outcome(getattr(self.shop, verb)(key))
        assert NAMES.get(answer, answer) == getattr(self.model, verb)(key)

    @rule(seconds=st.sampled_from([30, 61, 61]))
    def time_passes(self, seconds) -> None:
        self.shop.clock.advance(seconds)
        now = self.shop.clock.now()
        self.runner.run(expire_reservations(deps_of(self.shop.host)))
        self.model.expire(now)

    @invariant()
    def books_agree(self) -> None:
        for product in self.model.received:
            row = self.runner.run(self.shop.row(product))
            reserved, sold = self.model.held(product, "reserved"), self.model.held(product, "committed")
            assert row == (self.model.received[product], self.model.available(product), reserved, sold)
            assert row[0] == sum(row[1:])
            assert min(row) >= 0


@pytest.mark.hypothesis
def test_any_sequence_of_calls_keeps_the_books(open_shop) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    limits = settings(max_examples=examples(60), stateful_step_count=40, deadline=None, suppress_health_check=checks)
    opened = type("OpenedInventory", (Inventory,), {"open_shop": staticmethod(open_shop)})
    run_state_machine_as_test(opened, settings=limits)
