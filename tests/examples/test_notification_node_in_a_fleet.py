"""Notification in Node as a process of a fleet: started, found, called, traced and restarted like any."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from souk.testing.system import Process, System, fleet
from tests.examples.node import installed
from tests.market.api import log_in, wish
from tests.market.mailbox import Mailbox, text_of
from tests.market.operator import Operator

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("notification in Node")]

CONFIRMED = "is confirmed"
WRITTEN = "a letter is written"


@dataclass
class Market:
    """The fleet, its operator, and the mails."""

    system: System
    operator: Operator
    mailbox: Mailbox

    def buy(self, key: str) -> tuple[str, str]:
        """Places an order of the demo user's; gives its id, and the trace of its request."""
        with log_in(self.system.url, "demo@souk.test", "demo-password") as buyer:
            answer = buyer.post("/api/v1/orders", json=wish(("P-101", 1, 1_200), key=key))
        assert answer.status_code == 201, answer.text
        return answer.json()["id"], answer.headers["traceparent"].split("-")[1]

    def mailed(self, key: str) -> tuple[EmailMessage, str]:
        """The one letter about a new order, and the trace of its request."""
        order, trace = self.buy(key)
        return self.mailbox.await_letter(order, CONFIRMED), trace

    def notifications(self) -> list[dict[str, Any]]:
        """Its processes."""
        return [one for one in self.operator.ps() if one["service"] == "notification"]

    def written(self, instance: str) -> list[dict[str, Any]]:
        """What a process said of letters in its log."""
        lines = (self.system.data / "logs" / f"{instance}.log").read_text().splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{")]
        return [record for record in records if record["event"] == WRITTEN]


@pytest.fixture(scope="module")
def main() -> Path:
    return installed("notification-node") / "main.js"


@pytest.fixture(scope="module")
def market(main: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    settings = {"SOUK_COMMANDS": f"notification=node {main}", "SOUK_VERSION": "7.0"}
    with fleet(tmp_path_factory.mktemp("node"), settings=settings) as system:
        yield Market(system, Operator(system.data), Mailbox(system.data / "notification" / "mailbox"))
        assert set(system.stop()) == {0}, system.output()


def test_the_letter_about_an_order_comes_from_node(market: Market) -> None:
    letter, trace = market.mailed("node-1")
    assert letter["to"].addresses[0].addr_spec == "demo@souk.test"
    assert "€12.00" in text_of(letter)
    assert trace in {record["trace_id"] for record in market.written("notification-1")}
    (process,) = market.notifications()
    assert Path(f"/proc/{process['pid']}/comm").read_text().strip() in {"node", "MainThread"}
    assert (process["state"], process["status"]["version"]) == ("ready", "7.0")
    assert process["status"]["requests_served"] >= 1
    assert "does not answer" not in market.operator.souk("ps")
    assert trace in market.operator.souk("logs", "notification")


def test_killed_it_is_started_again_and_each_letter_comes_once(market: Market) -> None:
    market.mailed("node-2")
    before = market.mailbox.names()
    restarts = market.notifications()[0]["restarts"]
    market.operator.kill("notification-1")
    order, _ = market.buy("node-3")
    letter = market.mailbox.await_letter(order, CONFIRMED)
    assert letter["message-id"]
    market.operator.await_ready()
    assert market.notifications()[0]["restarts"] == restarts + 1
    assert len(market.mailbox.names() - before) == len(market.mailbox.about(order))


def test_it_is_scaled_and_replaced(market: Market) -> None:
    market.operator.souk("scale", "notification=2")
    assert [one["state"] for one in market.notifications()] == ["ready", "ready"]
    market.operator.souk("restart", "notification")
    market.operator.souk("scale", "notification=1")
    assert len(market.notifications()) == 1
    market.mailed("node-4")


def test_one_that_is_started_by_hand_joins(market: Market, main: Path) -> None:
    market.operator.souk("stop", "notification")
    order, _ = market.buy("node-5")
    by_hand = Process("by hand", (), r"ready notification (?P<url>\S+)", market.system.data.parent)
    by_hand.command = ("node", str(main))
    by_hand.spawn({"SOUK_DATA": str(market.system.data)})
    try:
        by_hand.await_ready()
        market.mailbox.await_letter(order, CONFIRMED)
        os.kill(by_hand.pid, 15)
        assert by_hand.await_end() == 0
    finally:
        if by_hand.runs:
            os.kill(by_hand.pid, 9)
    market.operator.souk("start", "notification")
    market.mailed("node-6")


def test_a_program_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="there is no program 'nodd', which is to be 'notification'"),
        fleet(tmp_path, settings={"SOUK_COMMANDS": "notification=nodd main.js"}),
    ):
        pass
