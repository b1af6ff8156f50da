"""Revenue, top products and conversion, as an administrator reads them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from souk.testing.system import until
from tests.market.api import new_key
from tests.market.duplicates import change, deliver_again
from tests.market.operator import Operator
from tests.market.shop import Shop

REVENUE, PRODUCTS, CONVERSION = (f"/api/v1/analytics/{name}" for name in ("revenue", "products", "conversion"))
PATIENCE = 60.0


def around_today() -> dict[str, str]:
    today = datetime.now(UTC).date()
    return {"from": str(today - timedelta(1)), "to": str(today + timedelta(1))}


def read(shop: Shop, path: str, currency: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.admin.ok("GET", path, params={**around_today(), "currency": currency})[
        "currencies"
    ]
    return found


def total(shop: Shop, currency: str) -> dict[str, int]:
    found = read(shop, REVENUE, currency)
    return dict(found[0]["total"]) if found else {}


def test_what_was_sold_and_refunded_is_counted_once(shop: Shop) -> None:
    # No other test uses the currency.
    lamp, rug = (shop.product(price, currency="NZD") for price in (1_200, 5_000))
    buyer = shop.buyer()
    first = buyer.buy((lamp, 3, 1_200), (rug, 1, 5_000))
    second = buyer.buy((lamp, 1, 1_200))
    body = {"amount": 500, "reason": "a scratch", "idempotencyKey": new_key()}
    shop.admin.ok("POST", f"/api/v1/payments/{first['paymentId']}:refund", json=body)
    buyer.ok("POST", f"/api/v1/orders/{second['id']}:cancel")
    sums = {"orders": 2, "gross": 9_800, "refunds": 2, "refunded": 1_700, "net": 8_100}
    until(lambda: total(shop, "NZD") == sums, PATIENCE, "the orders and refunds are counted")
    (ranked,) = read(shop, PRODUCTS, "NZD")
    assert ranked["products"] == [
        {"productId": rug, "units": 1, "revenue": 5_000},
        {"productId": lamp, "units": 4, "revenue": 4_800},
    ]
    assert deliver_again(shop.books, "order") > 0
    assert total(shop, "NZD") == sums
    assert read(shop, PRODUCTS, "NZD") == [ranked]


def test_figures_that_were_lost_are_built_anew(shop: Shop) -> None:
    if shop.mode == "processes":
        pytest.skip("`souk rebuild` asks the supervisor, and these processes have none")
    lamp, buyer = shop.product(currency="SEK"), shop.buyer()
    buyer.buy((lamp, 2, 1_200))
    sums = {"orders": 1, "gross": 2_400, "refunds": 0, "refunded": 0, "net": 2_400}
    until(lambda: total(shop, "SEK") == sums, PATIENCE, "the order is counted")
    before = read(shop, PRODUCTS, "SEK")
    for table in ("facts", "figures"):
        assert change(shop.books, "analytics", f"DELETE FROM {table}") > 0
    assert total(shop, "SEK") == {}
    operator = Operator(shop.data)
    operator.souk("rebuild", "analytics")
    assert total(shop, "SEK") == sums
    assert read(shop, PRODUCTS, "SEK") == before
    operator.souk("rebuild", "analytics", "--check")


def test_conversion_counts_what_was_decided(shop: Shop) -> None:
    def outcomes() -> dict[str, Any]:
        found: dict[str, Any] = shop.admin.ok("GET", CONVERSION, params=around_today())
        return found

    before = outcomes()
    lamp, buyer, poor = shop.product(), shop.buyer(), shop.buyer("tok_declined")
    order = buyer.buy((lamp, 1, 1_200))
    poor.problem(402, "PAYMENT_DECLINED", "POST", "/api/v1/orders", json=poor.wish((lamp, 1, 1_200)))

    def declined(report: dict[str, Any]) -> int:
        return sum(one["orders"] for one in report["total"]["rejections"] if one["reason"] == "PAYMENT_DECLINED")

    until(lambda: declined(outcomes()) > declined(before), PATIENCE, "the rejection is counted")
    until(lambda: outcomes()["total"]["confirmed"] > before["total"]["confirmed"], PATIENCE, "the order is counted")
    after = outcomes()
    assert 0 < after["total"]["rate"] < 1
    assert after["asOf"] >= order["createdAt"]
    assert sum(day["outcomes"]["confirmed"] for day in after["days"]) == after["total"]["confirmed"]


@pytest.mark.parametrize("path", [REVENUE, PRODUCTS, CONVERSION])
def test_only_administrators_read_and_only_of_a_range(shop: Shop, path: str) -> None:
    days = {"from": "2026-11-01", "to": "2026-11-30"}
    shop.anyone.problem(401, "UNAUTHENTICATED", "GET", path, params=days)
    shop.buyer(None).problem(403, "FORBIDDEN", "GET", path, params=days)
    for wrong, field in (
        ({"to": "2026-11-30"}, "from"),
        ({"from": "2026-11-01"}, "to"),
        ({**days, "from": "yesterday"}, "from"),
        ({**days, "from": "2026-11-31"}, "from"),
        ({**days, "to": "2026-10-31"}, "to"),
        ({**days, "to": "2027-11-02"}, "to"),
    ):
        shop.admin.invalid(field, "GET", path, params=wrong)
    longest = shop.admin.ok("GET", path, params={"from": "1996-01-01", "to": "1996-12-31"})
    assert [] in longest.values()  # nothing was sold then
