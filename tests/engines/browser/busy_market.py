"""A marketplace in which things have happened: orders of every end, a sale without stock, an event that is parked."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from souk.backing.postgres.roles import PREFIX
from souk.events import parked_store
from souk.events.causes import Cause
from souk.events.envelope import Event
from souk.store.database import Transaction
from souk.store.postgres.database import PostgresDatabase
from souk.testing.system import System, until
from tests.market.books import Books
from tests.market.operator import Operator
from tests.market.rows import superuser_url
from tests.market.shop import Buyer, Shop

ORDERS = "/api/v1/orders"
PATIENCE = 120.0
PRICE = 1_200
ATTEMPTS = 5
WHY = "counting the stock by hand"


@dataclass(frozen=True)
class BusyMarket:
    """What scripts are given: a confirmed order, an order whose saga is parked, and a parked event; and its product."""

    order: str
    parked: dict[str, str]
    event: str
    product: str

    def given(self) -> str:
        """Gives the ids as JSON."""
        return json.dumps({"order": self.order, "parked": self.parked, "event": self.event})


def make_busy(system: System) -> BusyMarket:
    """Has all of it happen in a fleet with demo data."""
    shop, operator = Shop("fleet", system.url, system.data), Operator(system.data)
    try:
        order = _sales(shop)
        product, parked = _park_a_sale(shop, operator)
        return BusyMarket(order, parked, _park_an_event(shop, order), product)
    except AssertionError as failed:
        failed.add_note(operator.souk("logs", "--level", "warning"))
        raise
    finally:
        shop.close()


def _sales(shop: Shop) -> str:
    """Sells, is refused, cancels and ships; returns an order that was confirmed."""
    lamp, buyer = shop.product(stock=20), shop.buyer()
    orders = [buyer.buy((lamp, count, PRICE))["id"] for count in (1, 2, 3)]
    for refused, quantity in ((shop.buyer("tok_declined"), 1), (buyer, 21)):
        refused.ok("POST", ORDERS, 402 if quantity == 1 else 409, json=refused.wish((lamp, quantity, PRICE)))
    assert buyer.post(f"{ORDERS}/{orders[0]}:cancel").status_code in (200, 202)
    shop.admin.ok("POST", f"{ORDERS}/{orders[1]}:ship", json={})
    return str(orders[2])


def _park_a_sale(shop: Shop, operator: Operator) -> tuple[str, dict[str, str]]:
    """Leaves a sale parked: its saga was paused, its reservation lapsed meanwhile, and another buyer got the piece."""
    lamp, order = next(found for _ in range(ATTEMPTS) if (found := _pause_a_sale(shop, operator)))
    run, fast = f"place-order:{order}:1", shop.buyer()
    # An hour has passed for this one reservation.
    lapse = "UPDATE reservations SET expires_at = 0 WHERE order_id = ? AND state = 'reserved' RETURNING key"
    assert Books(shop.data).rows("inventory", lapse, order)
    until(lambda: shop.stock(lamp) == 1, PATIENCE, "the reservation has lapsed")
    fast.buy((lamp, 1, PRICE))
    operator.souk("saga", "resume", run, "--why", "counted", "--yes")
    until(lambda: _state(operator, run) == "parked", PATIENCE, "the sale waits for an operator")
    return lamp, {"order": order, "run": run}


def _pause_a_sale(shop: Shop, operator: Operator) -> tuple[str, str] | None:
    """Pauses the saga of an order while its card is charged; gives the product and the order, or None where a machine
    stalled for so long that the order was confirmed before."""
    lamp, slow = shop.product(stock=1), shop.buyer("tok_slow")
    with ThreadPoolExecutor(1) as pool:
        placing = pool.submit(slow.post, ORDERS, json=slow.wish((lamp, 1, PRICE)))
        order = _first_order(slow)
        with suppress(AssertionError):  # it has ended
            operator.souk("saga", "pause", f"place-order:{order}:1", "--why", WHY, "--yes")
        return (lamp, order) if placing.result().status_code == 202 else None


def _first_order(buyer: Buyer) -> str:
    """Awaits the order that a buyer is placing. A machine that stalls may answer 503 now and then: once more."""
    found: list[dict[str, Any]] = []

    def recorded() -> bool:
        answer = buyer.get(ORDERS)
        assert answer.status_code in (200, 503), answer.text
        found.extend(answer.json().get("orders", ()))
        return bool(found)

    until(recorded, PATIENCE, "the order is recorded")
    return str(found[0]["id"])


def _state(operator: Operator, run: str) -> str:
    shown: dict[str, Any] = json.loads(operator.souk("saga", "show", run, "--json"))
    return str(shown["state"])


def _park_an_event(shop: Shop, order: str) -> str:
    """Parks the event that an order was confirmed, as a consumer does that cannot read it; returns its id."""
    sql = "SELECT id, type, source, key, time, payload, traceparent FROM souk_outbox WHERE key = ? AND type LIKE ?"
    (row,) = Books(shop.data).rows("order", sql, order, "%.OrderConfirmed")
    at = row.pop("time")
    event = Event(**row)
    event.time.FromMicroseconds(at)
    cause = Cause("ValueError: no exchange rate for EUR", "figures", "figures.py:42")

    async def park(tx: Transaction) -> None:
        await parked_store.park(tx, event, "analytics/figures", cause, 5)

    async def write() -> None:
        database = await PostgresDatabase.open(superuser_url(shop.data, f"{PREFIX}order"))
        try:
            await database.run(park)
        finally:
            await database.close()

    asyncio.run(write())
    return str(event.id)
