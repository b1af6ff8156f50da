"""Canaries of a fleet, with real processes and sidecars: what becomes of good and of bad ones, and who noticed."""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from souk.testing.system import until
from tests.fleet.canaries import (
    ENDED,
    WALLET,
    abort,
    await_state,
    begin,
    buyers,
    calls,
    ended,
    events,
    flawed,
    pid_of_control_plane,
    state,
    status,
    top_up_by_a_declined_card,
    versions,
)
from tests.fleet.conftest import PRICE, Bazaar, opened_bazaar
from tests.fleet.flawed_version import LEAK, MARK
from tests.market.api import new_key
from tests.market.books import Books
from tests.market.operator import LIMIT
from tests.market.rows import postgres_rows
from tests.market.shop import Buyer

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("canaries of a fleet")]
GET_WALLET = "/shop.payment.v1.PaymentService/GetWallet"
ALMOST_NOTHING = "0.01"
"""The smallest share, in percent."""


@pytest.fixture(scope="module")
def meshed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bazaar]:
    folder = tmp_path_factory.mktemp("canary")
    with opened_bazaar(folder, "--mesh", settings={"SOUK_LIMITS": "off"}) as bazaar:
        bazaar.prepare()
        yield bazaar
        bazaar.audit()
        assert set(bazaar.system.stop()) == {0}, bazaar.system.output()


@pytest.fixture(autouse=True)
def none_is_left(meshed: Bazaar) -> Iterator[None]:
    """Ends the canary of a test that has failed, so that the next one can begin."""
    yield
    if state(meshed) not in ("", *ENDED):
        abort(meshed)
        await_state(meshed, *ENDED)


def test_five_percent_of_errors_are_rolled_back_within_an_interval(meshed: Bazaar) -> None:
    with buyers(meshed) as answers:
        begin(meshed, "v2-fails", every="60s", run=flawed(failing=0.05))
        found = ended(meshed)
    print(f"users saw {answers}")
    assert found["state"] == "rolled back"
    assert events(found) == ["begun", "ready", "breached", "removed"]
    assert versions(meshed) == {""}
    # Three tries in a row may meet the flaw.
    assert answers.keys() <= {200, 500}
    assert answers[500] <= answers.total() / 100


def test_a_slow_99th_percentile_is_rolled_back(meshed: Bazaar) -> None:
    with buyers(meshed) as answers:
        begin(meshed, "v2-slow", "--abort-on", "p99>1.5x", run=flawed(slow=0.10))
        found = ended(meshed)
    print(f"users saw {answers}")
    assert found["state"] == "rolled back"
    assert found["decisions"][-2]["why"].startswith("p99>1.5x")
    assert answers.keys() == {200}


def test_without_traffic_it_is_held_and_another_one_is_refused(meshed: Bazaar) -> None:
    begin(meshed, "v2-idle")
    await_state(meshed, "holding")
    assert status(meshed)["decisions"][-1]["why"].startswith("0 calls of the canary")
    with pytest.raises(AssertionError, match="a canary of payment is under way: v2-idle is holding"):
        begin(meshed, "v3")
    abort(meshed)
    assert ended(meshed)["state"] == "rolled back"
    assert versions(meshed) == {""}


def test_declined_cards_are_no_failures(meshed: Bazaar) -> None:
    with buyers(meshed, top_up_by_a_declined_card) as answers:
        begin(meshed, "v2-declines", "--abort-on", "failures>5%", "--min-calls", "20")
        until(lambda: "advanced" in events(status(meshed)), LIMIT, "the next step")
        abort(meshed)
        assert ended(meshed)["state"] == "rolled back"
    assert answers.keys() == {402}


def test_one_that_crashes_at_its_start_gets_no_call(meshed: Bazaar) -> None:
    with buyers(meshed) as answers:
        begin(meshed, "v2-crashes", run=f"{sys.executable} -c 'raise SystemExit(\"souk: no figs\")'")
        found = ended(meshed)
    assert found["state"] == "failed"
    assert events(found) == ["begun", "not ready", "removed unused"]
    assert "payment-v2-crashes-1 died" in found["decisions"][1]["why"]
    assert "no figs" in found["decisions"][1]["why"]
    assert versions(meshed) == {""}
    assert answers.keys() == {200}


def test_a_control_plane_that_is_killed_goes_on_with_the_canary(meshed: Bazaar) -> None:
    with buyers(meshed) as answers:
        begin(meshed, "v2-survives", "--abort-on", "failures>1%", every="60s")
        await_state(meshed, "stepping")
        killed = pid_of_control_plane(meshed)
        os.kill(killed, signal.SIGKILL)
        until(lambda: pid_of_control_plane(meshed) not in (0, killed), LIMIT, "another control plane")
        until(lambda: calls(meshed) > 0, LIMIT, "calls of the version again")
        abort(meshed)
        os.kill(pid_of_control_plane(meshed), signal.SIGKILL)
        await_state(meshed, "rolled back")
        until(lambda: versions(meshed) == {""}, LIMIT, "the end of the version")
    assert answers.keys() == {200}


def test_testers_meet_it_whatever_its_share_is(meshed: Bazaar) -> None:
    tester, *others = meshed.accounts
    testers = ("--user", tester.user["id"], "--header", "x-tester=yes", "--abort-on", "failures>50%")
    begin(meshed, "v2-tested", *testers, run=flawed(marked=1), steps=ALMOST_NOTHING, every="60s")
    await_state(meshed, "stepping")
    until(lambda: currency(tester) == MARK, LIMIT, "its first share")
    assert [currency(tester) for _ in range(10)] == [MARK] * 10
    assert [currency(others[0], {"x-tester": "yes"}) for _ in range(10)] == [MARK] * 10
    others[1].headers["x-tester"] = "yes"
    order = others[1].buy((meshed.product, 1, PRICE))
    del others[1].headers["x-tester"]
    assert releases_of(meshed, order["id"]) == {"payment": "v2-tested", "x-tester": "yes"}
    # One of ten thousand calls may meet it all the same.
    for header in ({}, {"x-tester": "no"}):
        assert Counter(currency(others[0], header) for _ in range(10))[MARK] <= 2
    abort(meshed)
    assert ended(meshed)["state"] == "rolled back"
    assert MARK not in (currency(tester), currency(others[0], {"x-tester": "yes"}))


def currency(buyer: Buyer, headers: dict[str, str] | None = None) -> str:
    """Gives the currency of a buyer's wallet, read with more headers by the HTTP API and by the Connect protocol; both
    if they differ."""
    sent = {**buyer.headers, **(headers or {})}
    with httpx.Client(base_url=str(buyer.base_url), headers=sent, timeout=30.0) as client:
        answers = client.get(WALLET), client.post(GET_WALLET, json={})
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
    return " ".join({str(answer.json().get("currency", "")) for answer in answers})


def releases_of(bazaar: Bazaar, order: str) -> dict[str, str]:
    """Gives which releases the saga has met that placed an order."""
    (run,) = json.loads(bazaar.operator.souk("saga", "list", "--state", "all", "--text", order, "--json"))
    return dict(run["releases"])


def test_copies_of_reads_show_a_flaw_that_no_buyer_meets(meshed: Bazaar) -> None:
    with buyers(meshed) as answers:
        begin(meshed, "v2-mirrored", "--mirror", run=flawed(failing=1.0), every="60s")
        found = ended(meshed)
    assert found["state"] == "rolled back"
    assert events(found) == ["begun", "ready", "breached", "removed"]
    assert found["decisions"][-2].get("percent", 0) == 0
    assert answers.keys() == {200}


def test_one_that_leaks_money_is_rolled_back_at_once(meshed: Bazaar) -> None:
    buyer = meshed.accounts[0]
    body = {"amount": 500, "currency": "EUR", "cardToken": "tok_visa", "idempotencyKey": new_key()}
    buyer.ok("POST", f"{WALLET}:topUp", json=body)
    user = buyer.user["id"]
    begin(meshed, "v2-leaks", "--user", user, run=flawed(leaking=1), steps=ALMOST_NOTHING, every="60s")
    await_state(meshed, "stepping")
    try:
        until(lambda: buyer.ok("GET", WALLET)["balance"] == 500 + LEAK, LIMIT, "the leak")
        found = ended(meshed)
    finally:
        sql = "UPDATE wallets SET balance = 500 WHERE user_id = ? RETURNING balance"
        assert postgres_rows(meshed.system.data, "payment", sql, user) == [{"balance": 500}]
    assert found["state"] == "rolled back"
    assert events(found) == ["begun", "ready", "alarmed", "removed"]
    assert "the invariant 'Wallets' is broken" in found["decisions"][-2]["why"]
    assert versions(meshed) == {""}


def test_one_that_parks_a_saga_is_rolled_back_at_once(meshed: Bazaar) -> None:
    buyer = meshed.accounts[1]
    order = buyer.buy((meshed.product, 1, PRICE))
    begin(meshed, "v2-parks", run=flawed(marked=1, unrefundable=1), steps="100", every="60s")
    await_state(meshed, "stepping")
    until(lambda: currency(buyer) == MARK and calls(meshed) > 5, LIMIT, "its share")
    buyer.request("POST", f"/api/v1/orders/{order['id']}:cancel")
    found = ended(meshed)
    assert found["state"] == "rolled back"
    assert events(found) == ["begun", "ready", "alarmed", "removed"]
    assert "is parked at 'refund payment'" in found["decisions"][-2]["why"]
    # The version that is there again does what the canary refused.
    meshed.operator.souk("saga", "retry", "--text", order["id"], "--why", "its version was rolled back", "--yes")
    buyer.await_order(order["id"], lambda one: one["status"] == "CANCELLED")
    assert Books(meshed.system.data).parked() == []


def test_a_good_version_is_promoted_and_nobody_notices(meshed: Bazaar) -> None:
    with buyers(meshed) as answers:
        begin(meshed, "v2", "--abort-on", "failures>1%")
        found = ended(meshed)
    print(f"users saw {answers}")
    assert found["state"] == "promoted"
    assert events(found).count("advanced") == 1
    assert answers.keys() == {200}
    assert versions(meshed) == {"v2"}
