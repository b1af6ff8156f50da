"""Makes loads of orders for a system, and fills its stock before."""

import json
import time
from dataclasses import dataclass

from bench.load import KEY, Load
from bench.system import System

CLIENTS = 32
STOCK = 1_000_000
PRODUCTS = 60
_SETTLING = 60.0


def buying(system: System) -> "Buying":
    """Fills the stock; returns what makes loads of orders by the demo user."""
    admin = system.token("admin")
    for number in range(PRODUCTS):
        body = {"delta": STOCK, "reason": "bench", "idempotencyKey": f"bench-{time.time_ns()}"}
        system.call("POST", f"/api/v1/stock/P-{101 + number}:adjust", body, admin)
    products = system.call("GET", f"/api/v1/products?pageSize={PRODUCTS}")["products"]
    bodies = tuple(order_body(product["id"], product["price"]) for product in products if int(product["id"][2:]) < 161)
    return Buying(system.port, system.token(), bodies)


@dataclass(frozen=True, slots=True)
class Buying:
    port: int
    token: str
    bodies: tuple[str, ...]

    def __call__(self, *, seconds: float = 60.0, requests: int = 1_000_000_000) -> Load:
        return Load(
            self.port,
            "POST",
            "/api/v1/orders",
            self.bodies,
            {"authorization": f"Bearer {self.token}"},
            CLIENTS,
            seconds,
            requests,
            expect=201,
        )


def order_body(product: str, price: int) -> str:
    """Gives the body of a `POST /api/v1/orders` for two pieces; KEY stands for its idempotency key."""
    return json.dumps(
        {
            "items": [{"productId": product, "quantity": 2, "price": price}],
            "shippingAddressId": "ADDR-55",
            "paymentMethod": "card",
            "idempotencyKey": KEY,
        }
    )


def settle(system: System) -> float:
    """Waits until no more mails are written; returns the seconds until the last one was written."""
    began = last = time.monotonic()
    mails = system.mails()
    while time.monotonic() - last < 0.5 and last - began < _SETTLING:
        time.sleep(0.05)
        now = system.mails()
        if now != mails:
            mails, last = now, time.monotonic()
    return last - began
