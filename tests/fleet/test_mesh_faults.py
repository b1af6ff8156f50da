"""Parts of a running fleet's mesh fail under load: orders go on, and the supervisor brings back what is gone."""

import json
import signal
import time
from typing import Any

import pytest

from souk.testing.system import until
from tests.fleet.conftest import Bazaar
from tests.market.buyers import Crowd, counted

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("a fleet with a mesh")]
WELL, LATE = (201, "CONFIRMED"), (202, "PENDING")
"""The second is what a buyer gets whose order takes longer than a buyer waits, as on a busy machine."""
CLIENTS = 3
LIMIT = 180.0


def status(bazaar: Bazaar) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bazaar.operator.souk("mesh", "status", "--json"))
    return found


def until_again(bazaar: Bazaar, instance: str, restarts: int) -> None:
    """Waits until a process was started again, and takes calls."""

    def again() -> bool:
        time.sleep(0.1)
        one = bazaar.operator.process(instance)
        return one["restarts"] > restarts and one["state"] == "ready"

    until(again, LIMIT, f"{instance} is started again")


def all_have_certificates(bazaar: Bazaar) -> bool:
    """Says whether the sidecar of each process is connected and has its certificate."""
    found = status(bazaar)["sidecars"]
    known = {one["instance"] for one in found if one["connected"] and one.get("certificate")}
    return known >= {one["instance"] for one in bazaar.operator.ps() if one["kind"] in ("service", "gateway")}


def test_operators_see_each_sidecar(meshed: Bazaar) -> None:
    until(lambda: all_have_certificates(meshed), LIMIT, "every sidecar is connected")
    found = status(meshed)
    sidecars = {one["instance"]: one for one in found["sidecars"]}
    listed = [one["instance"] for one in meshed.operator.ps() if one["kind"] in ("service", "gateway")]
    assert sidecars.keys() >= set(listed)
    for one in (sidecars[name] for name in listed):
        assert one["connected"], one
        assert one["rejected"] == [], one
        assert one["certificate"]["expires"], one
    assert "one root is trusted" in meshed.operator.souk("mesh", "status")


def test_the_control_plane_is_killed_under_load_and_no_order_fails(meshed: Bazaar) -> None:
    restarts = meshed.operator.process("mesh")["restarts"]
    with Crowd(meshed.shop.url, meshed.wishes("no-control-plane"), clients=CLIENTS, insist=False) as crowd:
        until(lambda: len(crowd.answers) >= CLIENTS, LIMIT, "orders are placed")
        meshed.operator.kill("mesh")
        placed = len(crowd.answers)
        until_again(meshed, "mesh", restarts)
        until(lambda: len(crowd.answers) >= placed + CLIENTS, LIMIT, "orders are placed after it")
        until(lambda: all_have_certificates(meshed), LIMIT, "every sidecar is connected again")
    print(f"\n{counted(crowd.answers)}")
    assert counted(crowd.answers).keys() <= {WELL, LATE}


@pytest.mark.parametrize(
    ("sidecar", "number"),
    [
        ("payment-1-sidecar", signal.SIGKILL),
        ("order-1-sidecar", signal.SIGKILL),
        ("payment-1-sidecar", signal.SIGSTOP),
    ],
)
def test_a_sidecar_that_is_killed_or_hangs_is_started_anew(
    meshed: Bazaar, sidecar: str, number: signal.Signals
) -> None:
    restarts = meshed.operator.process(sidecar)["restarts"]
    with Crowd(meshed.shop.url, meshed.wishes(f"{sidecar}-{number.name}"), clients=CLIENTS) as crowd:
        until(lambda: len(crowd.answers) >= CLIENTS, LIMIT, "orders are placed")
        meshed.operator.kill(sidecar, number)
        until_again(meshed, sidecar, restarts)
        placed = len(crowd.answers)
        until(lambda: len(crowd.answers) >= placed + CLIENTS, LIMIT, "orders are placed after it")
    print(f"\n{counted(crowd.answers)}")
    ends = {key: answers[-1].outcome for key, answers in crowd.ends().items() if answers}
    assert set(ends.values()) == {WELL}
    meshed.kept(crowd)
