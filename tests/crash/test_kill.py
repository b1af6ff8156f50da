"""`kill -9` under load, in real time and by the real commands, and what became of it all."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from souk.testing.system import LONG, MODES, System
from tests.market.api import Api, log_in, wish
from tests.market.books import Books
from tests.market.invariants import await_rest, status, violations

ORDERS = "/api/v1/orders"
CLIENTS = 8
CARDS = ("tok_visa", "tok_visa", "tok_declined", "tok_error", "tok_slow")
REST = 180.0
"""Seconds: what a card leaves open is asked for again and again, with pauses that grow."""


@dataclass
class Wishes:
    """The requests of the clients by key, and the answers; a key without an answer is asked again."""

    methods: list[str]
    chance: random.Random
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)

    @property
    def failing(self) -> str:
        """The card for which there is never a definite answer."""
        return self.methods[2 + CARDS.index("tok_error")]

    def new(self, client: int) -> dict[str, Any]:
        """Makes another order."""
        key = f"{client}-{len(self.bodies)}"
        product = f"P-{self.chance.randrange(102, 106)}"
        self.bodies[key] = wish((product, 1, self.prices[product]), method=self.chance.choice(self.methods), key=key)
        return self.bodies[key]

    prices: dict[str, int] = field(default_factory=dict)

    def ask(self, api: Api, body: dict[str, Any]) -> bool:
        """Sends a request once; records a definite answer, and sometimes cancels the order."""
        key = body["idempotencyKey"]
        answer = api.post(ORDERS, json=body)
        if answer.status_code in (202, 503):
            return False
        known = self.answers.setdefault(key, answer)
        assert (known.status_code, known.json().get("id")) == (answer.status_code, answer.json().get("id"))
        if answer.status_code == 201 and self.chance.random() < 0.3:
            self.cancelled.add(answer.json()["id"])
            api.post(f"{ORDERS}/{answer.json()['id']}:cancel")
        return True


# A mesh has processes that have nothing to lose; tests/mesh kills its control plane and its sidecars.
@pytest.fixture(params=[mode for mode in MODES if mode != "mesh"])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    """A running system with demo data."""
    with MODES[request.param](tmp_path) as system:
        yield system


def _prepared(system: System, chance: random.Random) -> Wishes:
    with log_in(system.url, "demo@souk.test", "demo-password") as demo:
        saved = [demo.ok("POST", "/api/v1/payment-methods", 201, json={"cardToken": card})["id"] for card in CARDS]
        wishes = Wishes(["card", "wallet", *saved], chance)
        for number in range(102, 106):
            wishes.prices[f"P-{number}"] = demo.ok("GET", f"/api/v1/products/P-{number}")["price"]
    return wishes


def _load(system: System, wishes: Wishes, seconds: float, kill: tuple[str, ...]) -> None:
    """Lets clients work for a while, and then kills the system or a part of it."""
    gone = Event()

    def work(client: int, token: str) -> None:
        with Api(system.url, token) as api:
            try:
                while not gone.is_set():
                    if not wishes.ask(api, wishes.new(client)):
                        gone.wait(0.1)
            except httpx.TransportError:
                return

    with log_in(system.url, "demo@souk.test", "demo-password") as demo:
        token = demo.token
    with ThreadPoolExecutor(CLIENTS) as pool:
        working = [pool.submit(work, client, token) for client in range(CLIENTS)]
        time.sleep(seconds)
        system.kill(*kill)
        gone.set()
        for one in working:
            one.result()


def _ask_again(system: System, wishes: Wishes) -> None:
    """Repeats every request: one without an answer must get one, every other the same answer again."""
    with log_in(system.url, "demo@souk.test", "demo-password") as demo, ThreadPoolExecutor(CLIENTS) as pool:

        def again(body: dict[str, Any]) -> None:
            wishes.ask(demo, body)
            end = time.monotonic() + REST
            while body["idempotencyKey"] not in wishes.answers and body["paymentMethod"] != wishes.failing:
                assert time.monotonic() < end, f"no answer to {body}\n{system.output()}"
                time.sleep(0.1)
                wishes.ask(demo, body)

        def cancel(order_id: str) -> None:
            end = time.monotonic() + REST
            while demo.post(f"{ORDERS}/{order_id}:cancel").status_code != 200:
                assert time.monotonic() < end, f"{order_id} cannot be cancelled\n{system.output()}"
                time.sleep(0.1)

        list(pool.map(again, wishes.bodies.values()))
        list(pool.map(cancel, sorted(wishes.cancelled)))


def _rounds(system: System, number: int, seed: int, *parts: str) -> None:
    chance = random.Random(seed)
    wishes = _prepared(system, chance)
    for _ in range(number):
        kill = (chance.choice(parts),) if parts else ()
        _load(system, wishes, 0.2 + chance.random() * 0.5, kill)
        system.start()
    _ask_again(system, wishes)
    books = Books(system.data)
    try:
        await_rest(books, REST)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{system.output()}") from None
    assert violations(books) == [], system.output()
    ends = {order.id: status(order) for order in books.orders()}
    recorded = {row["idempotency_key"] for row in books.rows("order", "SELECT idempotency_key FROM souk_idempotency")}
    assert len(ends) == len(recorded), "one order a key"
    unrecorded = wishes.bodies.keys() - recorded
    assert {wishes.bodies[key]["paymentMethod"] for key in unrecorded} <= {wishes.failing}
    for answer in wishes.answers.values():
        if answer.status_code == 201:
            order_id = answer.json()["id"]
            assert ends[order_id] == ("CANCELLED" if order_id in wishes.cancelled else "CONFIRMED")


@pytest.mark.parametrize("system", ["embedded"], indirect=True)
def test_whatever_is_killed_comes_right(system: System) -> None:
    _rounds(system, 2, 1)


@pytest.mark.full
@pytest.mark.parametrize("seed", [2, 3])
def test_whatever_is_killed_often_comes_right(system: System, seed: int) -> None:
    _rounds(system, 4 if system.mode in LONG else 10, seed)


@pytest.mark.full
@pytest.mark.parametrize("system", ["processes"], indirect=True)
@pytest.mark.parametrize("seed", [4, 5])
def test_a_part_that_is_killed_comes_right(system: System, seed: int) -> None:
    _rounds(system, 8, seed, "order", "payment", "inventory", "user", "product", "notification", "analytics")
