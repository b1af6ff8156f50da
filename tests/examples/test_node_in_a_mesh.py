"""Services in Node behind sidecars: in a fleet with a mesh they are called, and call, like all others; and Payment in
Node takes the place of the one in Python, by a canary, while orders are paid."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from souk.testing.system import until
from tests.examples.node import installed
from tests.fleet.canaries import buyers, ended, versions
from tests.fleet.conftest import PRICE, Bazaar, opened_bazaar
from tests.fleet.namespaces import may_make_namespaces
from tests.market.api import new_key
from tests.market.books import Books
from tests.market.buyers import Crowd
from tests.market.mailbox import Mailbox, text_of
from tests.market.operator import LIMIT
from tests.market.shop import Buyer

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("Node in a mesh")]

CONFIRMED = "is confirmed"
ERASING = "payment/erase-cards=shop.user.v1.UserDeleted"
"""The one in Node is no consumer of the bus, so it is called with this event."""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bazaar]:
    notification = f"notification=node {installed('notification-node') / 'main.js'}"
    settings = {"SOUK_COMMANDS": notification, "SOUK_SUBSCRIPTIONS": ERASING, "SOUK_LIMITS": "off"}
    with opened_bazaar(tmp_path_factory.mktemp("node"), "--mesh", settings=settings) as bazaar:
        bazaar.prepare()
        yield bazaar
        bazaar.audit()
        assert set(bazaar.system.stop()) == {0}, bazaar.system.output()


def mailed(bazaar: Bazaar) -> str:
    """Places an order, and gives the text of the mail about it."""
    order = bazaar.accounts[0].buy((bazaar.product, 1, PRICE))
    mailbox = Mailbox(bazaar.system.data / "notification" / "mailbox")
    return text_of(mailbox.await_letter(order["id"], CONFIRMED))


def calls(bazaar: Bazaar, instance: str) -> int:
    """Gives how many calls a process has answered."""
    return int(bazaar.operator.process(instance)["status"]["requests_served"])


def test_the_mail_about_an_order_comes_from_node_behind_its_sidecar(market: Bazaar) -> None:
    before = calls(market, "notification-1")
    assert "\N{EURO SIGN}12.00" in mailed(market)
    assert calls(market, "notification-1") > before
    process = market.operator.process("notification-1")
    assert Path(f"/proc/{process['pid']}/comm").read_text().strip() in {"node", "MainThread"}


@pytest.mark.skipif(not may_make_namespaces(), reason="this user may not make network namespaces")
def test_it_shares_a_namespace_with_its_sidecar(market: Bazaar) -> None:
    own, beside = (market.operator.process(name) for name in ("notification-1", "notification-1-sidecar"))
    assert own["isolation"] == "network namespace"
    namespaces = [Path(f"/proc/{pid}/ns/net").stat().st_ino for pid in (own["pid"], beside["pid"], "self")]
    assert namespaces[0] == namespaces[1] != namespaces[2]


def test_killed_it_is_started_again_behind_the_same_sidecar(market: Bazaar) -> None:
    market.operator.kill("notification-1")
    assert mailed(market)
    market.operator.await_ready()


def begin(bazaar: Bazaar, version: str, *options: str) -> None:
    run = f"node {installed('payment-node') / 'main.js'}"
    rules = ("--steps", "50", "--every", "4s", "--abort-on", "failures>1%")
    bazaar.operator.souk("canary", "start", "payment", "--version", version, "--run", run, *rules, *options)


def payment(bazaar: Bazaar) -> str:
    """Gives the name of the one process of Payment."""
    (process,) = [one for one in bazaar.operator.ps() if one["service"] == "payment" and one["kind"] == "service"]
    return str(process["instance"])


def top_up(buyer: Buyer, amount: int, key: str) -> dict[str, Any]:
    body = {"amount": amount, "currency": "EUR", "cardToken": "tok_visa", "idempotencyKey": key}
    wallet: dict[str, Any] = buyer.ok("POST", "/api/v1/wallet:topUp", json=body)
    return wallet


def test_a_payment_in_node_that_cannot_start_gets_no_call(market: Bazaar) -> None:
    begin(market, "node-faulty", "--set", "SOUK_PAYMENT_PROVIDER_TIMEOUT=soon")
    found = ended(market)
    assert found["state"] == "failed"
    assert "SOUK_PAYMENT_PROVIDER_TIMEOUT" in found["decisions"][-2]["why"]
    assert versions(market) == {""}


def test_payment_in_node_is_promoted_while_orders_are_paid(market: Bazaar) -> None:
    for buyer in market.accounts:
        top_up(buyer, 10_000_000, new_key())
    with (
        Crowd(market.shop.url, market.wishes("canary", ("card", "wallet")), clients=4, per_second=4) as crowd,
        buyers(market) as answers,
    ):
        begin(market, "node")
        found = ended(market)
    assert found["state"] == "promoted", found
    assert answers.keys() <= {200, 504}, answers  # a busy machine may be too late
    assert versions(market) == {"node"}
    process = market.operator.process(payment(market))
    assert Path(f"/proc/{process['pid']}/comm").read_text().strip() in {"node", "MainThread"}
    assert {ends[-1].status for ends in crowd.ends().values() if ends} == {201}
    market.kept(crowd)


def test_promoted_it_does_what_the_other_did(market: Bazaar) -> None:
    buyer = market.shop.buyer()
    key = new_key()
    wallets = [top_up(buyer, 5_000, key) for _ in range(2)]
    assert [int(wallet["balance"]) for wallet in wallets] == [5_000, 5_000]
    line = (market.product, 1, PRICE)
    for method in ("card", "wallet"):
        order = buyer.buy(line, method=method)
        (payment,) = buyer.payments(order["id"])
        assert (payment["status"], payment["amount"]) == ("CAPTURED", PRICE)
        buyer.ok("POST", f"/api/v1/orders/{order['id']}:cancel")
        back = buyer.await_order(order["id"], lambda one: one.get("refundedTotal") == PRICE)
        assert back["status"] == "CANCELLED"
        assert [one["status"] for one in buyer.payments(order["id"])] == ["REFUNDED"]
    assert int(buyer.ok("GET", "/api/v1/wallet")["balance"]) == 5_000
    poor = market.shop.buyer("tok_declined")
    declined = poor.post("/api/v1/orders", json=poor.wish(line, key=new_key()))
    assert (declined.status_code, declined.json()["reason"]) == (402, "card_declined")


def test_promoted_it_pages_as_the_other_and_erases_cards(market: Bazaar) -> None:
    buyer = market.shop.buyer()
    saved = {buyer.save_card("tok_visa")["id"] for _ in range(2)}
    first = buyer.ok("GET", "/api/v1/payment-methods?pageSize=1")
    rest = buyer.ok("GET", f"/api/v1/payment-methods?pageToken={first['nextPageToken']}")
    shown = [card["id"] for page in (first, rest) for card in page["paymentMethods"]]
    assert len(shown) == 3
    assert saved < set(shown)
    buyer.delete_account()
    until(lambda: not cards_of(market, buyer), LIMIT, "the cards of the deleted account are gone")


def cards_of(bazaar: Bazaar, buyer: Buyer) -> list[dict[str, Any]]:
    return Books(bazaar.system.data).rows("payment", "SELECT id FROM cards WHERE user_id = ?", buyer.user["id"])


def test_killed_under_load_it_loses_no_money(market: Bazaar) -> None:
    with Crowd(market.shop.url, market.wishes("killed", ("card", "wallet")), clients=8, per_second=8) as crowd:
        until(lambda: len(crowd.answers) > 10, LIMIT, "the first orders")
        market.operator.kill(payment(market))
        market.operator.await_ready()
        paid = len(crowd.answers)
        until(lambda: len(crowd.answers) > paid + 10, LIMIT, "orders after it")
    market.kept(crowd)
