"""Dies at every point of placing and cancelling an order, in the whole system, and starts again.

A case is `scenario:point`. The first life has the point armed, and dies there, hard, while a client
drives an order through it. The client asks again with the same key in the next life, until it has an
answer. Then all must be as if nothing had happened.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from marketplace.order.saga.order_sagas import OrderSagas
from souk.faults import EXIT_STATUS
from souk.saga.runner import fault_points
from souk.testing.lives import Life, Nursery
from tests.crash import forgetful
from tests.crash.conftest import Template
from tests.market.api import Api, log_in, wish
from tests.market.books import Books
from tests.market.invariants import await_rest, status, violations

ORDERS = "/api/v1/orders"
KEY = "the only key"
LATER = 20.0
"""Seconds from one life to the next: whatever the dead one had leased is free again."""
PATIENCE = 120.0
HASTE: Mapping[str, Mapping[str, str]] = {"order": {"saga_deadline": "1"}}


@dataclass(frozen=True)
class Scenario:
    """How an order goes when nothing dies: paid by `card`, cancelled or not, and what it ends as.

    Before it the wallet may be topped up by `tops_up`; after it an admin may give `refunds` back.
    """

    card: str
    ends: str
    cancels: bool = False
    first_life: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    answer: int = 201
    tops_up: int = 0
    refunds: int = 0


SCENARIOS = {
    "confirmed": Scenario("tok_visa", "CONFIRMED"),
    "declined": Scenario("tok_declined", "REJECTED", answer=402),
    "failing": Scenario("tok_error", "REJECTED", answer=503),
    # The saga's time is over while the card takes its own: the charge is undone. The retry has time enough.
    "late": Scenario("tok_slow", "CONFIRMED", first_life=HASTE),
    "by wallet": Scenario("wallet", "CONFIRMED"),
    "cancelled": Scenario("tok_visa", "CANCELLED", cancels=True),
    "cancelled, by wallet": Scenario("wallet", "CANCELLED", cancels=True),
    "refunded": Scenario("tok_visa", "CONFIRMED", refunds=700),
    "refunded, by wallet": Scenario("wallet", "CONFIRMED", refunds=700),
    "topped up": Scenario("wallet", "CONFIRMED", tops_up=3_000),
}


def _saga_points() -> dict[str, list[str]]:
    nobody: Any = None
    return {
        saga.name: fault_points(saga) for saga in OrderSagas(nobody, nobody, nobody, 60.0, lambda sagas: nobody).sagas
    }


POINTS = _saga_points()
FORWARD = [point for point in POINTS["place-order"] if "/undo" not in point]
BACK = {
    step: [point for point in POINTS["place-order"] if f"/{step}/undo" in point]
    for step in ("reserve stock", "charge payment")
}
CHARGING = [f"payment.charge.{what}" for what in ("intent-recorded", "provider-answered", "recorded")]
REFUNDING = [f"payment.refund.{what}" for what in ("promised", "provider-answered")]
STRUCK = {
    "confirmed": [*FORWARD, *CHARGING, "relay.handled"],
    "declined": [*BACK["reserve stock"], *CHARGING, "relay.handled"],
    "failing": [*BACK["reserve stock"], CHARGING[0]],
    "late": [
        *BACK["charge payment"],
        *BACK["reserve stock"],
        "payment.cancel.recorded",
        "payment.settle.provider-answered",
    ],
    "by wallet": FORWARD,
    "cancelled": [*POINTS["cancel-order"], *REFUNDING],
    "cancelled, by wallet": [*POINTS["cancel-order"], REFUNDING[0]],
    "refunded": REFUNDING,
    "refunded, by wallet": [REFUNDING[0]],
    "topped up": ["payment.top-up.intent-recorded", *CHARGING[1:]],
}
"""The points that each scenario passes."""
SAMPLE = [
    "confirmed:place-order/charge payment/do/after",
    "confirmed:place-order/confirm order/recorded/before",
    "confirmed:payment.charge.provider-answered",
    "declined:place-order/reserve stock/undo/after",
    "late:place-order/charge payment/undo/before",
    "by wallet:place-order/commit stock/do/before",
    "cancelled:cancel-order/refund payment/do/after",
    "cancelled:cancel-order/return stock/recorded/before",
    "refunded:payment.refund.promised",
    "topped up:payment.top-up.intent-recorded",
]
ALL = [f"{scenario}:{point}" for scenario, points in STRUCK.items() for point in points]


class Client:
    """A client that repeats one order until it is answered. `topped_up` is the amount that the wallet has received,
    by the answers."""

    def __init__(self, scenario: Scenario, method: str) -> None:
        self._scenario, self.topped_up = scenario, 0
        self._body = wish(("P-101", 2, 1_200), method=method, key=KEY)

    def drive(self, life: Life) -> bool:
        """Goes on until everything is answered; returns False if the system dies meanwhile."""
        try:
            with log_in(life.url, "demo@souk.test", "demo-password") as api:
                return self._drive(api, life)
        except httpx.TransportError:
            return False

    def _drive(self, api: Api, life: Life) -> bool:
        if self._scenario.tops_up:
            self._top_up(api, life)
        response = self._definite(lambda: api.post(ORDERS, json=self._body), life)
        assert response.status_code == self._scenario.answer, response.text
        if self._scenario.cancels:
            order_id = response.json()["id"]
            cancelled = self._definite(lambda: api.post(f"{ORDERS}/{order_id}:cancel"), life)
            assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")
        if self._scenario.refunds:
            self._refund(response.json()["paymentId"], life)
        return True

    def _top_up(self, api: Api, life: Life) -> None:
        wish = {"currency": "EUR", "cardToken": "tok_visa", "idempotencyKey": KEY, "amount": self._scenario.tops_up}
        answer = self._definite(lambda: api.post("/api/v1/wallet:topUp", json=wish), life)
        # The card is not kept: who comes back later than the recovery finds the top-up given up.
        assert answer.status_code == 200 or answer.json()["reason"] == "abandoned", answer.text
        self.topped_up = self._scenario.tops_up if answer.status_code == 200 else 0

    def _refund(self, payment_id: str, life: Life) -> None:
        wish = {"amount": self._scenario.refunds, "reason": "broken", "idempotencyKey": KEY}
        with log_in(life.url, "admin@souk.test", "admin-password") as admin:
            path = f"/api/v1/payments/{payment_id}:refund"
            answer = self._definite(lambda: admin.post(path, json=wish), life)
        assert (answer.status_code, answer.json()["refunded"]) == (200, self._scenario.refunds)

    def _definite(self, ask: Callable[[], httpx.Response], life: Life) -> httpx.Response:
        end = time.monotonic() + PATIENCE
        while (response := ask()).status_code == 202 or _says_later(response, self._scenario):
            assert time.monotonic() < end, f"{response.text}\n{life.output()}"
            time.sleep(0.05)
        return response


def _says_later(response: httpx.Response, scenario: Scenario) -> bool:
    if response.status_code == 409 and response.json()["code"] == "REQUEST_IN_PROGRESS":
        return True
    if response.status_code != 503:
        return False
    return scenario.answer != 503 or response.json()["code"] == "ATTEMPT_CLOSING"


def whole() -> None:
    """Leaves the system as it is."""


@dataclass
class Case:
    """One order, over as many lives of the system as it takes."""

    born: Nursery
    scenario: Scenario
    client: Client
    data: Path
    later: float = 0.0
    prelude: Callable[[], None] = whole

    @contextmanager
    def life(self, faults: Mapping[str, int] | None = None) -> Iterator[Life]:
        """Runs the next life of the system inside the block."""
        services: dict[str, Any] = dict(self.scenario.first_life) if not self.later else {}
        with self.born.life(
            self.data, faults=faults, later=self.later, services=services, prelude=self.prelude
        ) as life:
            yield life
        self.later += LATER

    def die(self, faults: Mapping[str, int]) -> bool:
        """Runs a life that is to die at a fault point; tells whether it did."""
        with self.life(faults) as life:
            if life.status is None and self.client.drive(life) and not _dies_soon(life, self.data):
                return False
            assert life.await_end() == EXIT_STATUS, life.output()
        return True

    def live(self) -> None:
        """Runs a life that only finishes what is under way; then everything must be consistent."""
        with self.life() as life:
            assert self.client.drive(life), life.output()
            books = Books(self.data)
            await_rest(books, PATIENCE)
            assert violations(books) == []
            (order,) = books.orders()
            assert status(order) == self.scenario.ends
            assert order.refunded_total == (order.total if self.scenario.cancels else self.scenario.refunds)
            sql = "SELECT coalesce(sum(amount), 0) AS n FROM payments WHERE key LIKE ? AND status = 'CAPTURED'"
            (topped_up,) = books.rows("payment", sql, f"top-up/%/{KEY}")
            assert topped_up["n"] == self.client.topped_up


def _dies_soon(life: Life, data: Path) -> bool:
    """Waits for the system's death after its answer, while work is still under way; tells whether it died."""
    books, end = Books(data), time.monotonic() + PATIENCE
    while life.status is None and time.monotonic() < end:
        if not books.unrest():
            # It may have died after its last write.
            time.sleep(0.1)
            return life.status is not None
        time.sleep(0.01)
    return life.status is not None


@pytest.fixture
def start(born: Nursery, template: Template, copied: Callable[[str], Path]) -> Callable[[str], Case]:
    """Makes the case of a scenario, by its name."""

    def start(name: str) -> Case:
        scenario = SCENARIOS[name]
        return Case(born, scenario, Client(scenario, template.methods[scenario.card]), copied("data"))

    return start


def _dies_and_lives(case: Case, point: str, deaths: int = 1) -> None:
    assert case.die({point: 0}), f"nothing struck {point}"
    for _ in range(deaths - 1):
        case.die({point: 0})
    case.live()


def test_every_point_of_the_sagas_is_struck_in_some_scenario() -> None:
    passed = {point for points in STRUCK.values() for point in points}
    assert {point for points in POINTS.values() for point in points} <= passed


@pytest.mark.parametrize("name", SCENARIOS)
def test_without_a_crash(start: Callable[[str], Case], name: str) -> None:
    case = start(name)
    case.later = LATER  # time enough
    case.live()


@pytest.mark.parametrize("case", SAMPLE)
def test_a_crash_loses_nothing(start: Callable[[str], Case], case: str) -> None:
    name, point = case.split(":")
    _dies_and_lives(start(name), point)


@pytest.mark.parametrize(("forget", "step"), [(forgetful.stock, "reserve stock"), (forgetful.card, "charge payment")])
def test_a_step_that_is_not_idempotent_is_found_out(
    start: Callable[[str], Case], forget: Callable[[], None], step: str
) -> None:
    case = start("confirmed")
    case.prelude = forget
    assert case.die({f"place-order/{step}/do/after": 0})
    with pytest.raises(AssertionError, match=r"still reserved|was kept, and"):
        case.live()


@pytest.mark.full
@pytest.mark.parametrize("case", [case for case in ALL if case not in SAMPLE])
def test_a_crash_anywhere_loses_nothing(start: Callable[[str], Case], case: str) -> None:
    name, point = case.split(":")
    _dies_and_lives(start(name), point)


@pytest.mark.full
@pytest.mark.parametrize("case", ALL)
def test_two_crashes_at_one_point_lose_nothing(start: Callable[[str], Case], case: str) -> None:
    name, point = case.split(":")
    _dies_and_lives(start(name), point, deaths=2)


@pytest.mark.full
@pytest.mark.parametrize("point", ["store.commit", "store.committed", "store.statement"])
@pytest.mark.parametrize("name", ["confirmed", "declined", "cancelled"])
def test_a_crash_at_any_write_loses_nothing(
    start: Callable[[str], Case], copied: Callable[[str], Path], name: str, point: str
) -> None:
    for turn in range(0, 400 if point == "store.statement" else 60, 7 if point == "store.statement" else 1):
        case = start(name)
        case.data = case.data.rename(case.data.parent / f"{turn}")
        died = case.die({point: turn})
        case.live()
        if not died:
            break
