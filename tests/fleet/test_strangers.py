"""A service that does not answer, or answers nonsense: whoever asks gets a problem in time, and never a 500."""

import pytest

from tests.fleet.conftest import PRICE, Bazaar
from tests.market.api import new_key, refused
from tests.market.peers import BABBLE, FAILING, GARBAGE, HALF, SILENT, Manners, Peer

READ_LIMIT = 40.0
"""Far more than a read's time-out, for a busy machine, and less than patience."""
MANNERS = [SILENT, GARBAGE, HALF, BABBLE, FAILING]
CASES = [
    *(pytest.param(manners, True, id=f"{manners.name}, connect") for manners in MANNERS),
    *(pytest.param(manners, False, id=f"{manners.name}, grpc", marks=pytest.mark.full) for manners in MANNERS),
]


@pytest.fixture(scope="module")
def without_product(shared: Bazaar) -> Bazaar:
    """The shared fleet, whose Product is stopped until the module ends."""
    shared.operator.await_ready()
    assert shared.product
    assert shared.accounts
    shared.operator.souk("stop", "product")
    yield shared
    shared.close_books()


@pytest.mark.parametrize(("manners", "connect"), CASES)
def test_readers_and_buyers_get_a_problem_in_time(without_product: Bazaar, manners: Manners, connect: bool) -> None:
    bazaar, buyer = without_product, without_product.accounts[0]
    bazaar.operator.calm()
    with Peer(bazaar.operator.registry, "product", manners, connect=connect) as peer:
        read = bazaar.shop.anyone.get(f"/api/v1/products/{bazaar.product}")
        bought = buyer.post("/api/v1/orders", json=buyer.wish((bazaar.product, 1, PRICE), key=new_key()))
    print(
        f"\n{manners.name}: {read.status_code} {read.elapsed}, {bought.status_code} {bought.elapsed}, {peer.arrivals}"
    )
    assert peer.arrivals
    assert read.status_code in (503, 504), read.text
    assert read.elapsed.total_seconds() < READ_LIMIT
    if bought.status_code != 504:  # a busy machine may be too late
        refused(bought, 503, "PRODUCT_UNAVAILABLE")


def test_nobody_there_is_said_at_once(without_product: Bazaar) -> None:
    without_product.operator.calm()
    without_product.shop.anyone.problem(
        503, "PRODUCT_UNAVAILABLE", "GET", f"/api/v1/products/{without_product.product}"
    )
