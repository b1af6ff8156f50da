"""A rolling restart under load: nobody notices."""

import pytest

from tests.fleet.conftest import Bazaar
from tests.market.buyers import Crowd, counted, p99

GOOD = {(201, "CONFIRMED"), (202, "PENDING")}
CLIENTS, RATE = 2, 10


def _roll(bazaar: Bazaar, *which: str) -> None:
    with Crowd(bazaar.shop.url, bazaar.wishes("rolled"), clients=CLIENTS, per_second=RATE, insist=False) as crowd:
        said = bazaar.operator.souk("restart", *which)
    print(f"\n{said}{len(crowd.answers)} answers: {counted(crowd.answers)}, p99 {p99(crowd.answers):.0f} ms")
    assert counted(crowd.answers).keys() <= GOOD, [one for one in crowd.answers if one.outcome not in GOOD][:5]
    crowd.ask_again()


@pytest.mark.full
def test_order_and_the_gateway_are_replaced_under_load_and_no_request_fails(bazaar: Bazaar) -> None:
    _roll(bazaar, "order", "gateway")


@pytest.mark.full
def test_everything_is_replaced_under_load_and_no_request_fails(bazaar: Bazaar) -> None:
    _roll(bazaar, "--all")
