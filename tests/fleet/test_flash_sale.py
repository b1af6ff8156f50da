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
    wishes = Wishes(bazaar.accounts, [(product, 1, PRICE)], f"sale-{product}")
    with Crowd(bazaar.shop.url, wishes, clients=clients, most=buyers) as crowd:
        crowd.finish()
    ends = counted([answers[-1] for answers in crowd.ends().values()])
    print(f"\n{buyers} buyers, {pieces} pieces: {ends}; every answer: {counted(crowd.answers)}")
    assert ends == {SOLD: pieces, GONE: buyers - pieces}
    assert bazaar.shop.stock(product) == 0
    bazaar.audit()
    (row,) = Books(bazaar.system.data).rows("inventory", "SELECT * FROM stock WHERE product_id = ?", product)
    assert (row["received"], row["sold"], row["reserved"], row["available"]) == (pieces, pieces, 0, 0)


def test_what_is_there_is_sold_and_no_more(bazaar: Bazaar) -> None:
    _sell(bazaar, 300, 50, 32)


@pytest.mark.full
def test_five_thousand_buyers_for_five_hundred_pieces(opened: Opened, tmp_path: Path) -> None:
    with opened("--scale", "inventory=3") as bazaar:
        _sell(bazaar, 5_000, 500, 64)
