"""Services that are stopped: what does not need them goes on."""

import os
import time

import pytest

from souk.testing.system import until
from tests.fleet.conftest import PRICE, Bazaar


def test_orders_are_confirmed_without_notification_and_its_letters_come_after(bazaar: Bazaar) -> None:
    buyer = bazaar.accounts[0]
    bazaar.operator.souk("stop", "notification")
    try:
        order = buyer.buy((bazaar.product, 1, PRICE))
        assert bazaar.shop.mailbox.about(order["id"]) == []
    finally:
        bazaar.operator.souk("start", "notification")
    until(lambda: bazaar.shop.mailbox.about(order["id"]), 60, "the letter has come")


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
        until(lambda: _deaths(bazaar, name) >= before + 3, 120, "it has died three times")
        seen = bazaar.operator.souk("ps")
    finally:
        folder.unlink()
        aside.rename(folder)
    (line,) = [line for line in seen.splitlines() if name in line]
    print(f"\n{line}")
    assert "notification" in line
    assert "backing off" in line or "starting" in line
    assert "souk:" in " ".join(seen.split()), "it says why"
    bazaar.operator.await_ready()
    assert os.path.isdir(folder)


def _deaths(bazaar: Bazaar, name: str) -> int:
    time.sleep(0.2)
    return int(bazaar.operator.process(name)["restarts"])
