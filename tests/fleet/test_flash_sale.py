"""Many buyers, few pieces, three Inventories: what is there is sold, and not one piece more.

A buyer is a wish with a key of its own; they share a few accounts.
"""

from pathlib import Path

import pytest

from tests.fleet.conftest import PRICE, Bazaar, Opened
from tests.market.books import Books
from tests.market.buyers import Crowd, Wishes, counted

SOLD, GONE = (201, "CONFIRMED"), (409, "OUT_OF_STOCK")


def _sell(bazaar: Bazaar, buyers: int, pieces: int, clients: int) -> None:
    product = bazaar.shop.product(PRICE, pieces)
    with Crowd(bazaar.shop.url, _wishes(bazaar, product, "sale"), clients=clients, most=buyers) as crowd:
        crowd.finish()
    ends = _ends(crowd)
    print(f"\n{buyers} buyers, {pieces} pieces: {ends}; every answer: {counted(crowd.answers)}")
    assert ends == {SOLD: pieces, GONE: buyers - pieces}
    assert bazaar.shop.stock(product) == 0
    bazaar.audit()
    (row,) = Books(bazaar.system.data).rows("inventory", "SELECT * FROM stock WHERE product_id = ?", product)
    assert (row["received"], row["sold"], row["reserved"], row["available"]) == (pieces, pieces, 0, 0)


def test_what_is_there_is_sold_and_no_more(bazaar: Bazaar) -> None:
    _sell(bazaar, 150, 30, 32)


def test_what_comes_in_after_it_was_sold_out_is_sold_at_once(bazaar: Bazaar) -> None:
    """Whoever says that nothing is left, and is no authority, is still of that opinion then."""
    product, pieces = bazaar.shop.product(PRICE, 10), 20
    with Crowd(bazaar.shop.url, _wishes(bazaar, product, "first"), clients=8, most=60) as crowd:
        crowd.finish()
    assert _ends(crowd) == {SOLD: 10, GONE: 50}
    bazaar.shop.receive(product, pieces)
    with Crowd(bazaar.shop.url, _wishes(bazaar, product, "second"), clients=8, most=pieces) as crowd:
        crowd.finish()
    assert _ends(crowd) == {SOLD: pieces}
    assert bazaar.shop.stock(product) == 0


def _ends(crowd: Crowd) -> dict[tuple[int, str], int]:
    return counted([answers[-1] for answers in crowd.ends().values()])


def _wishes(bazaar: Bazaar, product: str, name: str) -> Wishes:
    return Wishes(bazaar.accounts, [(product, 1, PRICE)], f"{name}-{product}")


@pytest.mark.full
def test_two_thousand_buyers_for_two_hundred_pieces(opened: Opened, tmp_path: Path) -> None:
    with opened("--scale", "inventory=3") as bazaar:
        _sell(bazaar, 2_000, 200, 64)
