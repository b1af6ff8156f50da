"""A client of a system with demo data: its admin, and new buyers and products as tests need them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from souk.testing.system import until
from tests.market.api import Api, log_in, new_key, wish
from tests.market.books import Books
from tests.market.mailbox import Mailbox

PASSWORD = "correct horse battery"
HOME = {
    "name": "Nadia Buyer",
    "line1": "Souk Street 1",
    "city": "Hamburg",
    "postalCode": "20095",
    "country": "DE",
}
PATIENCE = 120.0


def browser() -> dict[str, Any]:
    """Makes what a browser gives when it is subscribed, with keys that nobody has."""
    return {"endpoint": f"https://push.example/{uuid4()}", "keys": {"p256dh": "B" + "A" * 86, "auth": "A" * 22}}


class Buyer(Api):
    """A user with an address and, unless a test does without, a default card."""

    def __init__(self, url: str, token: str, email: str, password: str, user: dict[str, Any], refresh: str) -> None:
        super().__init__(url, token)
        self.email, self.password, self.user, self.refresh = email, password, user, refresh
        self.home = ""

    def renew(self) -> None:
        """Logs in again, unless the access token is fresh: a shared system may be older than a token gets."""
        if not self.is_fresh:
            account = {"email": self.email, "password": self.password}
            self.become(self.ok("POST", "/api/v1/auth/token", json=account)["accessToken"])

    def move_in(self) -> None:
        """Saves an address."""
        self.home = self.ok("POST", "/api/v1/addresses", 201, json=HOME)["id"]

    def save_card(self, token: str, **more: Any) -> dict[str, Any]:
        """Saves a card by its sandbox token."""
        saved: dict[str, Any] = self.ok("POST", "/api/v1/payment-methods", 201, json={"cardToken": token, **more})
        return saved

    def delete_account(self, **more: Any) -> None:
        """Deletes the account."""
        self.ok("DELETE", "/api/v1/users/me", 204, json={"currentPassword": self.password, **more})

    def wish(self, *lines: tuple[str, int, int], method: str = "card", key: str = "") -> dict[str, Any]:
        """Makes the body of an order to this buyer's address."""
        return wish(*lines, address=self.home, method=method, key=key)

    def buy(self, *lines: tuple[str, int, int], method: str = "card") -> dict[str, Any]:
        """Places an order, which must be confirmed."""
        answer = self.place(self.wish(*lines, method=method, key=new_key()))
        assert answer.status_code == 201, answer.text
        order: dict[str, Any] = answer.json()
        assert order["status"] == "CONFIRMED"
        return order

    def place(self, body: dict[str, Any]) -> httpx.Response:
        """Sends an order, and again while it is under way: on a busy machine it may take longer than an answer."""
        answers: list[httpx.Response] = []

        def ended() -> bool:
            answers.append(self.post("/api/v1/orders", json=body))
            return answers[-1].status_code != 202

        until(ended, PATIENCE, "the order is placed or refused")
        return answers[-1]

    def order(self, order_id: str) -> dict[str, Any]:
        """Reads an order."""
        order: dict[str, Any] = self.ok("GET", f"/api/v1/orders/{order_id}")
        return order

    def payments(self, order_id: str) -> list[dict[str, Any]]:
        """Reads the payments of an order."""
        payments = self.ok("GET", "/api/v1/payments", params={"pageSize": 100})["payments"]
        return [payment for payment in payments if payment["orderId"] == order_id]

    def await_order(self, order_id: str, happened: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Waits until the condition holds for an order, and gives the order."""
        until(lambda: happened(self.order(order_id)), PATIENCE, f"{order_id} gets there")
        return self.order(order_id)


@dataclass
class Shop:
    """A system with demo data at `url`, its data in `data`. Where that does not hold its bank and its databases, `bank`
    and `server` say where they are, as for `Books`. A client may also connect from `other_address`."""

    mode: str
    url: str
    data: Path
    bank: Path | None = None
    server: str | None = None
    other_address: str = "127.0.0.2"
    _opened: list[Api] = field(default_factory=list)
    _logins: dict[str, Api] = field(default_factory=dict)

    @cached_property
    def mailbox(self) -> Mailbox:
        """The mails that the system has written."""
        return Mailbox(self.data / "notification" / "mailbox")

    @cached_property
    def books(self) -> Books:
        """The databases of the system."""
        return Books(self.data, self.bank, self.server)

    @cached_property
    def anyone(self) -> Api:
        """A client without a token."""
        return self._kept(Api(self.url))

    @property
    def demo(self) -> Api:
        """A client of the demo user."""
        return self._logged_in("demo@souk.test", "demo-password")

    @property
    def admin(self) -> Api:
        """A client of the demo admin."""
        return self._logged_in("admin@souk.test", "admin-password")

    def _logged_in(self, email: str, password: str) -> Api:
        known = self._logins.get(email)
        if known is None or not known.is_fresh:
            known = self._logins[email] = self._kept(log_in(self.url, email, password))
        return known

    def stranger(self, password: str = PASSWORD) -> Buyer:
        """Makes a new account, with nothing in it."""
        email = f"buyer-{uuid4().hex[:12]}@souk.test"
        account = {"email": email, "password": password, "name": "Nadia Buyer"}
        user = self.anyone.ok("POST", "/api/v1/users", 201, json=account)
        token = self.anyone.ok("POST", "/api/v1/auth/token", json={"email": email, "password": password})
        buyer = Buyer(self.url, token["accessToken"], email, password, user, token["refreshToken"])
        self._kept(buyer)
        return buyer

    def buyer(self, card: str | None = "tok_visa") -> Buyer:
        """Makes a new account with an address, and with a default card unless it is None."""
        buyer = self.stranger()
        buyer.move_in()
        if card is not None:
            buyer.save_card(card)
        return buyer

    def product(self, price: int = 1_200, stock: int = 10, **more: Any) -> str:
        """Makes a new product with stock; returns its id."""
        body = {"name": "Brass lamp", "description": "Light.", "category": "lamps", "price": price, "currency": "EUR"}
        product: dict[str, Any] = self.admin.ok("POST", "/api/v1/products", 201, json={**body, **more})
        if stock:
            self.receive(product["id"], stock)
        return str(product["id"])

    def receive(self, product: str, pieces: int) -> dict[str, Any]:
        """Adds to a product's stock."""
        body = {"delta": pieces, "reason": "delivery", "idempotencyKey": new_key()}
        stock: dict[str, Any] = self.admin.ok("POST", f"/api/v1/stock/{product}:adjust", json=body)
        return stock

    def stock(self, product: str) -> int:
        """Gives the pieces of a product that are available."""
        return int(self.anyone.ok("GET", f"/api/v1/stock/{product}")["available"])

    def close(self) -> None:
        """Closes all connections."""
        for api in self._opened:
            api.close()

    def _kept(self, api: Api) -> Api:
        self._opened.append(api)
        return api
