"""The background audit: an order that changed is compared with its events, and a difference is counted and logged."""

from functools import partial
from typing import Any

import pytest

from marketplace.order.use_cases.audit_orders import audit_orders
from souk.projections.follower import EventFollower

Shop = Any


async def caught_up(follower: EventFollower) -> None:
    while await follower.step():
        pass


async def test_a_difference_is_found_when_the_order_changes(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    found: list[int] = []
    follower = EventFollower("audit", shop.host.database, partial(audit_orders, shop.deps, found.append))
    wrong, right = [(await shop.place(key)).reply.id for key in ("key-1", "key-2")]
    await caught_up(follower)
    assert found == []
    sql = "UPDATE orders SET created_at = 1 WHERE id = $1"  # which no later change writes again
    await shop.host.database.run(lambda tx: tx.execute(sql, wrong))
    await shop.ship(right)
    await caught_up(follower)
    assert found == []
    await shop.ship(wrong)
    await caught_up(follower)
    assert found == [1]
    assert f"{wrong}: created_at is 1, not " in caplog.text
