"""An operator makes the read model of the orders anew while a buyer buys and reads; the buyer notices nothing."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from souk.testing.processes import run
from tests.market.shop import Shop

NAME = "order.read-model"
ORDERS = "/api/v1/orders"


def test_the_read_model_is_made_anew_while_orders_come_in(shop: Shop) -> None:
    if shop.mode == "processes":
        # Nobody supervises processes that an operator starts one by one: there is no socket to ask them all by.
        ended = asyncio.run(run("rebuild", NAME, "--data", str(shop.data)))
        assert (ended.status, ended.out) == (1, "")
        return
    lamp, buyer = shop.product(stock=10_000), shop.buyer()
    orders = [buyer.buy((lamp, 1, 1_200))["id"]]
    with ThreadPoolExecutor(1) as pool:
        rebuilt = pool.submit(lambda: asyncio.run(run("rebuild", NAME, "--data", str(shop.data))))
        while not rebuilt.done() or len(orders) < 2:
            orders.append(buyer.buy((lamp, 1, 1_200))["id"])
            shown = [order["id"] for order in buyer.ok("GET", f"{ORDERS}?pageSize=100")["orders"]]
            assert sorted(shown) == sorted(orders[-100:])
    assert rebuilt.result().status == 0, rebuilt.result().err
    assert rebuilt.result().out.splitlines()[-1].startswith(f"{NAME}: made anew in ")
    checked = asyncio.run(run("rebuild", NAME, "--check", "--data", str(shop.data)))
    assert checked.status == 0, checked.out
    assert checked.out.splitlines()[-1].endswith(" compared, no difference")
    listed = asyncio.run(run("rebuild", "--data", str(shop.data)))
    assert f"{NAME}" in listed.out
    assert " done " in listed.out
