"""Payment goes away, or fails, under load: buyers hear so at once, it is probed with care, and orders go on after."""

import statistics
import time

import pytest

from souk.resilience.breaker.settings import BreakerSettings
from souk.testing.system import until
from tests.fleet.conftest import LONGEST_OPEN, OPEN_FOR, Bazaar
from tests.market.buyers import Answer, Crowd, counted, p99
from tests.market.peers import FAILING, SILENT, Manners, Peer

RATE = 20
CLIENTS = 8
AWAY = (503, "PAYMENT_UNAVAILABLE")
WELL = (201, "CONFIRMED")
PROBES = BreakerSettings().probes
WATCHED = 1.25 * LONGEST_OPEN
"""Seconds that it is watched while open: it is probed at least once."""
PATIENCE = 120.0
"""Seconds, for a machine that does much else."""


def _guards(bazaar: Bazaar) -> list[dict[str, object]]:
    """Gives Order's breakers, one for each process, around the method of Payment that an order calls first."""
    mine = [one for one in bazaar.operator.breakers("payment") if one["caller"] == "order"]
    return [one for one in mine if one["method"] == "ResolveMethod"]


def _await_open(bazaar: Bazaar) -> None:
    orders = sum(one["service"] == "order" for one in bazaar.operator.ps())

    def opened() -> bool:
        time.sleep(0.1)
        return sum(one["state"] != "closed" for one in _guards(bazaar)) == orders

    until(opened, PATIENCE, "every process of Order has opened its breaker around Payment")


def _watch(crowd: Crowd, opened: float) -> list[Answer]:
    """Gives the answers of a time in which it is probed at least once."""
    time.sleep(WATCHED)
    until(lambda: crowd.since(opened), PATIENCE, "buyers are answered")
    return crowd.since(opened)


def _refused(bazaar: Bazaar) -> int:
    return sum(int(str(one["refused"])) for one in _guards(bazaar))


def _await_confirmed(crowd: Crowd, back: float) -> float:
    """Gives the seconds from Payment's return to the first confirmation of an order that was placed after it."""
    until(lambda: any(one.outcome == WELL for one in crowd.since(back)), PATIENCE, "orders are confirmed again")
    return min(one.at for one in crowd.since(back) if one.outcome == WELL) - back


def _print_answers(what: str, refused: list[Answer]) -> None:
    half = statistics.median(one.took for one in refused) * 1000
    print(f"\n{what}: {len(refused)} answers while open, p50 {half:.1f} ms, p99 {p99(refused):.1f} ms")


def test_with_payment_stopped_buyers_hear_so_at_once_and_orders_go_on_after(bazaar: Bazaar) -> None:
    with Crowd(bazaar.shop.url, bazaar.wishes("stopped"), clients=CLIENTS, per_second=RATE, insist=False) as crowd:
        time.sleep(1.0)
        bazaar.operator.souk("stop", "payment")
        _await_open(bazaar)
        before, opened = _refused(bazaar), time.monotonic()
        told = _watch(crowd, opened)
        after, seconds = _refused(bazaar), time.monotonic() - opened
        bazaar.operator.souk("start", "payment")
        took = _await_confirmed(crowd, time.monotonic())
    _print_answers("Payment stopped", told)
    print(f"confirmed again {took:.2f} s after its return")
    assert counted(told).keys() == {AWAY}
    cycles = len(_guards(bazaar)) * (1 + seconds / OPEN_FOR)
    assert after - before >= max(1, len(told) - PROBES * cycles), "but for probes, each was refused on the spot"
    crowd.ask_again()
    assert set(counted([ends[-1] for ends in crowd.ends().values()])) == {WELL}


@pytest.mark.full
@pytest.mark.parametrize("manners", [FAILING, SILENT], ids=lambda one: one.name)
def test_a_payment_that_fails_is_probed_by_the_permitted_number_only(bazaar: Bazaar, manners: Manners) -> None:
    wishes = bazaar.wishes(f"probed-{manners.name}")
    bazaar.operator.souk("stop", "payment")
    with (
        Peer(bazaar.operator.registry, "payment", manners) as peer,
        Crowd(bazaar.shop.url, wishes, clients=CLIENTS, per_second=RATE, insist=False) as crowd,
    ):
        _await_open(bazaar)
        arrived, refused, opened = _calls(peer), _refused(bazaar), time.monotonic()
        told = _watch(crowd, opened)
        until(lambda: _calls(peer) > arrived, PATIENCE, "it is probed")
        shed, probed, seconds = _refused(bazaar) - refused, _calls(peer) - arrived, time.monotonic() - opened
    bazaar.operator.souk("start", "payment")
    _print_answers(f"Payment {manners.name}", told)
    processes = len(_guards(bazaar))
    rounds = processes * (1 + seconds / OPEN_FOR)  # an open interval is that long at first, and longer after
    print(f"{probed} calls reached it in {seconds:.1f} s, {shed} were refused")
    # Each buyer may have had a call under way when it opened, and a busy machine may never have sent a probe.
    assert probed <= PROBES * rounds + CLIENTS
    assert shed >= max(1, len(told) - PROBES * rounds - CLIENTS)
    assert counted(told).keys() <= {AWAY}
    crowd.ask_again()
    assert set(counted([ends[-1] for ends in crowd.ends().values()])) == {WELL}


def _calls(peer: Peer) -> int:
    """Gives the calls of Order that arrived; events may come from any service."""
    return sum("/shop.payment." in path for path in peer.arrivals)


@pytest.mark.full
def test_payment_killed_again_and_again_charges_nobody_for_nothing(bazaar: Bazaar) -> None:
    # As many as are answered: at a rate that a busy machine does not keep up with, buyers would find Order overloaded.
    with Crowd(bazaar.shop.url, bazaar.wishes("killed"), clients=CLIENTS) as crowd:
        for _ in range(5):
            (payment,) = bazaar.operator.instances("payment")
            bazaar.operator.kill(payment)
            time.sleep(1.0)
            bazaar.operator.await_ready()
            _await_confirmed(crowd, time.monotonic())
    print(f"\n{counted(crowd.answers)}")
    assert set(counted([ends[-1] for ends in crowd.ends().values()])) == {WELL}
