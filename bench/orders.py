"""Orders through the whole HTTP path: gateway, six services, saga, every commit on the disk."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure, Section, at_least, below, median, progress
from bench.load import KEY, Load, Sent, load
from bench.system import System, running

CLIENTS = 32
STOCK = 1_000_000
PRODUCTS = 60
_SETTLING = 60.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians over the rounds; `cpu` is the system's, in milliseconds an order."""

    per_second: float
    p50: float
    p99: float
    cpu: float
    section: Section


def measure(folder: Path, *, seconds: float, rounds: int) -> Measured:
    """Starts a system on `folder`, and orders from it."""
    with running(folder / "orders") as system:
        idle = system.memory
        order = buying(system)
        progress("orders: warming up")
        load(order(seconds=seconds / 2))
        sent: list[Sent] = []
        cpus: list[float] = []
        for number in range(rounds):
            progress(f"orders: round {number + 1} of {rounds}")
            cpu = system.cpu
            sent.append(load(order(seconds=seconds)))
            cpus.append((system.cpu - cpu) / sent[-1].answers * 1000)
        mails = system.mails()
        lag = settle(system)
        loaded = system.memory
    section = Section("orders")
    section.notes.append(f"{lag:.1f} s after the last order the mails were out; {mails} were when it was answered")
    section.details = {"rounds": [round_.per_second for round_ in sent], "load_cpu": [one.cpu for one in sent]}
    per_second = median(one.per_second for one in sent)
    p50, p99 = median(one.p50 for one in sent), median(one.p99 for one in sent)
    section.add(
        Figure("orders, 32 clients", per_second, "orders/s", **at_least(800, per_second, "800")),
        Figure("  half of them answered within", p50, "ms"),
        Figure("  99 of 100 answered within", p99, "ms"),
        Figure("  CPU of the system", median(cpus), "ms an order"),
        Figure("  CPU of the load generator", median(one.cpu for one in sent), "cores"),
        Figure("  until the last mail is written", lag, "s"),
        Figure("memory once ready", idle, "MiB", **below(150, idle, "150")),
        Figure("memory after that load", loaded, "MiB", **below(150, loaded, "150")),
    )
    return Measured(per_second, p50, p99, median(cpus), section)


def buying(system: System) -> "_Buying":
    """Fills the shelves; returns what makes loads of orders by the demo user."""
    admin = system.token("admin")
    for number in range(PRODUCTS):
        body = {"delta": STOCK, "reason": "bench", "idempotencyKey": f"bench-{time.time_ns()}"}
        system.call("POST", f"/api/v1/stock/P-{101 + number}:adjust", body, admin)
    products = system.call("GET", f"/api/v1/products?pageSize={PRODUCTS}")["products"]
    bodies = tuple(order_body(product["id"], product["price"]) for product in products if int(product["id"][2:]) < 161)
    return _Buying(system.port, system.token(), bodies)


@dataclass(frozen=True, slots=True)
class _Buying:
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
    """The request of `POST /api/v1/orders`, for two pieces, with a key of its own."""
    return json.dumps(
        {
            "items": [{"productId": product, "quantity": 2, "price": price}],
            "shippingAddressId": "ADDR-55",
            "paymentMethod": "card",
            "idempotencyKey": KEY,
        }
    )


def settle(system: System) -> float:
    """Waits until no more mail is written; returns how long the last one took, in seconds."""
    began = last = time.monotonic()
    mails = system.mails()
    while time.monotonic() - last < 0.5 and last - began < _SETTLING:
        time.sleep(0.05)
        now = system.mails()
        if now != mails:
            mails, last = now, time.monotonic()
    return last - began
