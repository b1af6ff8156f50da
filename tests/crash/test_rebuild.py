"""The system dies at every point of a rebuild of the orders' read model, and the same command goes on with it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from souk.faults import EXIT_STATUS
from souk.projections.rebuild import FAULT_POINTS
from souk.testing.lives import Life, Nursery
from souk.testing.processes import Ended, run
from tests.market.api import log_in, new_key, wish
from tests.market.books import Books

ORDERS = "/api/v1/orders"
NAME = "order.read-model"
LATER = 20.0
"""Seconds from one life to the next: the lease of the dead one has ended."""
SAMPLE = ("rebuild.filling.batch", "rebuild.switching.after")


def souk(data: Path, *arguments: str) -> Ended:
    return asyncio.run(run("rebuild", NAME, *arguments, "--data", str(data)))


def buy(life: Life) -> str:
    with log_in(life.url, "demo@souk.test", "demo-password") as api:
        answer = api.post(ORDERS, json=wish(("P-101", 1, 1_200), method="card", key=new_key()))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def shown(life: Life) -> list[str]:
    with log_in(life.url, "demo@souk.test", "demo-password") as api:
        return [order["id"] for order in api.ok("GET", ORDERS)["orders"]]


@pytest.mark.parametrize(
    "point", [point if point in SAMPLE else pytest.param(point, marks=pytest.mark.full) for point in FAULT_POINTS]
)
def test_it_goes_on_after_a_death(born: Nursery, copied: Callable[[str], Path], point: str) -> None:
    data = copied("data")
    with born.life(data, faults={point: 0}) as life:
        orders = [buy(life), buy(life)]
        ended = souk(data)
        assert life.await_end() == EXIT_STATUS, life.output()
        assert ended.status == 1
        assert ended.err.endswith("has gone away; its log says why\n"), ended.err
    with born.life(data, later=LATER) as life:
        orders.insert(0, buy(life))
        assert sorted(shown(life)) == sorted(orders)
        ended = souk(data)
        assert ended.status == 0, ended.err
        assert "(goes on)" in ended.out
        orders.insert(0, buy(life))
        assert sorted(shown(life)) == sorted(orders)
        ended = souk(data, "--check")
        assert (ended.status, ended.out.splitlines()[-1]) == (0, f"{NAME}: 4 compared, no difference")
        generations = Books(data).rows("order", "SELECT DISTINCT generation FROM orders")
        assert [row["generation"] for row in generations] == [2]
