"""Services that are stopped: what does not need them goes on."""

import os
import time
from typing import Any

import pytest

from souk.testing.system import until
from tests.fleet.conftest import PRICE, Bazaar

PATIENCE = 120.0
DEATHS = 7
LONG_WAIT = 1.0
"""Of the waits between so many starts, which double, the last one is three times as long. Where looks take so much
time that none shows it, a later one does."""


def test_orders_are_confirmed_without_notification_and_its_letters_come_after(bazaar: Bazaar) -> None:
    buyer = bazaar.accounts[0]
    bazaar.operator.souk("stop", "notification")
    try:
        order = buyer.buy((bazaar.product, 1, PRICE))
        assert bazaar.shop.mailbox.about(order["id"]) == []
    finally:
        bazaar.operator.souk("start", "notification")
    until(lambda: bazaar.shop.mailbox.about(order["id"]), PATIENCE, "the letter has come")


def test_a_gateway_that_starts_without_payment_shows_the_catalogue(bazaar: Bazaar) -> None:
    bazaar.operator.souk("stop", "payment")
    try:
        bazaar.operator.souk("restart", "gateway")
        until(lambda: bazaar.shop.anyone.get("/readyz").status_code == 200, PATIENCE, "the gateway is ready")
        assert bazaar.shop.anyone.get(f"/api/v1/products/{bazaar.product}").status_code == 200
        until(lambda: _check(bazaar, "payment")["state"] == "failing", PATIENCE, "payment is seen to be away")
        assert _check(bazaar, "order")["state"] == "ok"
        assert "payment: no instance is known, since " in bazaar.operator.souk("ps")
    finally:
        bazaar.operator.souk("start", "payment")
    until(lambda: _check(bazaar, "payment")["state"] == "ok", PATIENCE, "payment is seen to be there")


def _check(bazaar: Bazaar, name: str) -> Any:
    checks = bazaar.shop.anyone.get("/readyz?verbose").json()["checks"]
    return next(one for one in checks if one["name"] == name)


@pytest.mark.full
def test_what_dies_at_every_start_is_seen_by_its_operator(bazaar: Bazaar) -> None:
    folder = bazaar.system.data / "notification"
    aside = folder.with_name("notification.aside")
    (name,) = bazaar.operator.instances("notification")
    before = bazaar.operator.process(name)["restarts"]
    folder.rename(aside)
    folder.write_text("in the way")
    try:
        bazaar.operator.kill(name)
        waits = _watch(bazaar, name, before + DEATHS)
        seen = bazaar.operator.souk("ps")
    finally:
        folder.unlink()
        aside.rename(folder)
    (line,) = [line for line in seen.splitlines() if name in line]
    print(f"\n{line}\nwaited after each death: {waits}")
    assert "notification" in line
    assert "backing off" in line or "starting" in line
    assert "souk:" in " ".join(seen.split()), "it says why"
    bazaar.operator.await_ready()
    assert os.path.isdir(folder)


def _watch(bazaar: Bazaar, name: str, deaths: int) -> dict[int, float]:
    """Watches a process until it has died so often, and was given time once; gives the seconds of back-off after each
    death."""
    first: dict[int, float] = {}
    last: dict[int, float] = {}

    def died() -> bool:
        time.sleep(0.1)
        seen, now = bazaar.operator.process(name), time.monotonic()
        count = int(seen["restarts"])
        if seen["state"] == "backing off":
            first.setdefault(count, now)
            last[count] = now
        waited = max((last[death] - first[death] for death in first), default=0.0)
        return count >= deaths and waited >= LONG_WAIT

    until(died, 3 * PATIENCE, f"it has died {deaths} times, and was given time")
    return {count: round(last[count] - first[count], 1) for count in first}
