"""The bus of a fleet: it dies and stops under load, it is taken on by a fleet that had none, and it is given up."""

import asyncio
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from souk.backing import bus
from souk.runtime.data.layout import DataLayout
from souk.testing.system import System, fleet, until
from tests.fleet.conftest import Bazaar
from tests.market.api import log_in, wish
from tests.market.buyers import Crowd
from tests.market.mailbox import Mailbox
from tests.market.operator import Operator

CONFIRMED = "is confirmed"
CLIENTS, RATE = 8, 15
NO_BUS = ("--broker", "none")


def mailbox(data: Path) -> Mailbox:
    return Mailbox(data / "notification" / "mailbox")


def buy(url: str, key: str) -> str:
    """Places an order of the demo user's; gives its id."""
    with log_in(url, "demo@souk.test", "demo-password") as buyer:
        answer = buyer.post("/api/v1/orders", json=wish(("P-101", 1, 1_200), key=key))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def crowd_while(bazaar: Bazaar, name: str, *commands: Sequence[str]) -> list[str]:
    """The orders of a crowd, while commands or signals reach the bus."""
    with Crowd(bazaar.shop.url, bazaar.wishes(name), clients=CLIENTS, per_second=RATE) as crowd:
        for command in commands:
            time.sleep(1.0)
            if command[0] == "kill":
                bazaar.operator.kill("bus", signal.SIGKILL)
                bazaar.operator.await_ready()
            else:
                bazaar.operator.souk(*command)
    bazaar.kept(crowd)
    ends = [answers[-1] for answers in crowd.ends().values()]
    assert {one.status for one in ends} == {201}
    return [one.order_id for one in ends if one.order_id is not None]


@pytest.mark.full
@pytest.mark.parametrize("commands", [(("kill",), ("kill",)), (("stop", "bus"), ("start", "bus"))])
def test_the_bus_goes_and_comes_and_every_mail_is_there(bazaar: Bazaar, commands: Sequence[Sequence[str]]) -> None:
    mails = mailbox(bazaar.system.data)
    for order in crowd_while(bazaar, f"bus {commands[0][0]}", *commands):
        mails.await_letter(order, CONFIRMED)


def started_again(system: System, *arguments: str) -> str:
    """Stops a fleet and starts it on its data with these arguments; gives why it was refused, or an empty text."""
    system.stop()
    (up,) = system.parts
    kept = [word for word in up.command if word not in NO_BUS]
    up.command = (*kept, *arguments)
    try:
        system.start()
    except AssertionError as error:
        return str(error)
    return ""


@pytest.mark.full
def test_a_fleet_that_had_no_bus_takes_one_on_and_gives_it_up_again(tmp_path: Path) -> None:
    with fleet(tmp_path, arguments=NO_BUS) as system:
        operator, mails = Operator(system.data), mailbox(system.data)
        assert "bus" not in {one["instance"] for one in operator.ps()}
        operator.souk("stop", "notification")
        waiting = buy(system.url, "without a bus")

        assert started_again(system) == ""
        mails.await_letter(waiting, CONFIRMED)
        operator.souk("stop", "notification")
        held = buy(system.url, "in the bus")
        until(lambda: holds(system), 120, "the bus has the event")
        assert "the fleet's own bus, which it had until now, still has" in started_again(system, *NO_BUS)

        assert started_again(system) == ""
        mails.await_letter(held, CONFIRMED)
        assert started_again(system, *NO_BUS) == ""
        assert not DataLayout(system.data).bus.exists()
        mails.await_letter(buy(system.url, "without it again"), CONFIRMED)


def holds(system: System) -> bool:
    return asyncio.run(bus.unhandled(DataLayout(system.data.resolve()).bus_socket)) > 0
