"""Places one order in a running system, through its public API alone, and reports each step and what it wrote."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import httpx
from souk_client import Client, models

from souk.sdk import SoukError, format_amount

T = TypeVar("T")

PENDING = "PENDING"
LONGEST_WAIT = 70.0
POLL = 0.2
MAIL_WAIT = 2.0
MAILS_READ = 20


@dataclass(frozen=True, slots=True)
class Purchase:
    """What to order, and as which user."""

    email: str
    password: str = field(repr=False)
    product: str = "P-101"
    quantity: int = 2
    address: str = "ADDR-55"
    payment_method: str = "card"
    key: str = field(default_factory=lambda: f"walk-{uuid4()}")


@dataclass(frozen=True, slots=True)
class WalkStep:
    """One step: the service, what happened, how long it took, and what was written where."""

    service: str
    said: str
    milliseconds: float = 0.0
    wrote: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


class OrderNotPlaced(SoukError):
    """The order did not end confirmed, or its key gave a second order."""


class Walk:
    """Runs the steps in order and yields each one as it ends."""

    def __init__(self, client: Client, purchase: Purchase, data: Path | None = None) -> None:
        self._client, self._purchase, self._data = client, purchase, data
        self._headers = httpx.Headers()
        client.http.event_hooks = {"response": [self._received]}
        self._order: models.Order
        self._took = 0.0

    def steps(self) -> Iterator[WalkStep]:
        """Runs the steps. Raises OrderNotPlaced, and the client's errors."""
        yield self._sign_in()
        product = self._timed(lambda: self._client.get_product(self._purchase.product))
        price = format_amount(product["price"], product["currency"])
        yield self._step("product", f"{self._purchase.product} {product['name']!r} costs {price}")
        before = self._stock()
        yield self._step("inventory", f"{before} of it can be had")
        yield self._place_order(product["price"])
        yield self._history()
        payment = self._timed(lambda: self._client.get_payment(self._order["paymentId"]))
        charged = format_amount(payment["amount"], payment["currency"])
        yield self._step(
            "payment",
            f"{payment['id']} is {payment['status']}: {charged}",
            wrote=self._in(payment="the charge, and two lines of the ledger"),
        )
        after = self._stock()
        yield self._step(
            "inventory",
            f"{after} can be had now, {before - after} fewer",
            wrote=self._in(inventory="the reservation, and what is left"),
        )
        yield self._repeat(product["price"])
        yield self._mail()

    def _sign_in(self) -> WalkStep:
        login: models.CreateTokenRequest = {"email": self._purchase.email, "password": self._purchase.password}
        self._client.token = self._timed(lambda: self._client.create_token(login))["accessToken"]
        return self._step("user", f"signed in as {self._purchase.email}", wrote=self._in(user="a session"))

    def _place_order(self, price: int) -> WalkStep:
        self._order = self._timed(lambda: self._client.place_order(self._request(price)))
        took = self._took
        self._await_outcome()
        order = self._order
        if order["status"] != "CONFIRMED":
            raise OrderNotPlaced(f"{order['id']} is {order['status']}: {order.get('reason', 'no reason given')}")
        total = format_amount(order["total"], order["currency"])
        text = f"{order['id']} is CONFIRMED: {self._purchase.quantity} x {self._purchase.product}, {total}"
        wrote = self._in(order="the order's events, its saga, its key, and an event for others")
        return WalkStep("order", text, took, wrote)

    def _await_outcome(self) -> None:
        until = time.monotonic() + LONGEST_WAIT
        while self._order["status"] == PENDING and time.monotonic() < until:
            time.sleep(POLL)
            self._order = self._client.get_order(self._order["id"])

    def _history(self) -> WalkStep:
        events = self._timed(lambda: self._client.list_order_events(self._order["id"], page_size=100))["events"]
        lines = tuple(f"{event['sequence']}. {event['type']} at {event['time']}" for event in events)
        return self._step("order", f"its log holds {len(events)} events", details=lines)

    def _repeat(self, price: int) -> WalkStep:
        again = self._timed(lambda: self._client.place_order(self._request(price)))
        if again["id"] != self._order["id"]:
            raise OrderNotPlaced(f"the same key gave a second order, {again['id']}")
        replayed = self._headers.get("idempotent-replayed", "false")
        return self._step("order", f"the same request again is the same order (Idempotent-Replayed: {replayed})")

    def _mail(self) -> WalkStep:
        """Waits up to MAIL_WAIT seconds for the mail: Notification gets the event after the order was answered."""
        began = time.monotonic()
        while not (letters := self._letters()) and self._data is not None and time.monotonic() < began + MAIL_WAIT:
            time.sleep(POLL / 10)
        wrote = tuple(f"the mail in {path}" for path in letters)
        return WalkStep("notification", "the buyer is written to, from the order's event", wrote=wrote)

    def _letters(self) -> list[Path]:
        """Returns the mails in the mailbox that contain this order's id; the newest MAILS_READ are read."""
        if self._data is None:
            return []
        found = (self._data / "notification" / "mailbox").glob("*.eml")
        recent = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[:MAILS_READ]
        return [path for path in recent if self._order["id"].encode() in path.read_bytes()]

    def _request(self, price: int) -> models.PlaceOrderRequest:
        return {
            "items": [{"productId": self._purchase.product, "quantity": self._purchase.quantity, "price": price}],
            "shippingAddressId": self._purchase.address,
            "paymentMethod": self._purchase.payment_method,
            "idempotencyKey": self._purchase.key,
        }

    def _stock(self) -> int:
        return self._timed(lambda: self._client.get_stock(self._purchase.product))["available"]

    def _received(self, response: httpx.Response) -> None:
        self._headers = response.headers

    def _timed(self, call: Callable[[], T]) -> T:
        began = time.monotonic()
        answer = call()
        self._took = (time.monotonic() - began) * 1000
        return answer

    def _step(self, service: str, text: str, wrote: tuple[str, ...] = (), details: tuple[str, ...] = ()) -> WalkStep:
        return WalkStep(service, text, self._took, wrote, details)

    def _in(self, **written: str) -> tuple[str, ...]:
        """Describes what was written, and in which service's database."""
        return tuple(f"{what} in {self._database(service)}" for service, what in written.items())

    def _database(self, service: str) -> str:
        """Names a service's database: its file, if there is one in the data directory; a fleet's are in PostgreSQL."""
        file = (self._data or Path()) / f"{service}.db"
        return str(file) if file.exists() else f"the database of {service}"
