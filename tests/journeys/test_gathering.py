"""What the console gathers of a running system, from outside, in every mode."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from souk.testing.processes import PATIENCE
from souk.testing.system import SUPERVISED
from tests.market.shop import Shop

SERVICES = {"gateway", "order", "product", "user", "inventory", "payment", "notification"}


def rows(data: Path, sql: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(f"file:{data}/console/console.db?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


OF_ORDERS = """
SELECT DISTINCT service FROM spans
WHERE trace_id IN (SELECT trace_id FROM traces WHERE name = 'POST /api/v1/orders')
"""


def gathered(data: Path, sql: str) -> set[str]:
    try:
        return {str(row[0]) for row in rows(data, sql)}
    except sqlite3.OperationalError:  # nothing is gathered yet
        return set()


FIGURES = {"souk_call_seconds", "process_cpu_seconds"}


def test_an_order_is_one_trace_over_all_its_services(shop: Shop) -> None:
    if shop.mode not in SUPERVISED:
        pytest.skip("processes that are started one by one have no private socket that names them")
    buyer, product = shop.buyer(), shop.product(stock=1_000)
    end = time.monotonic() + PATIENCE
    services: set[str] = set()
    metrics: set[str] = set()
    while not (services >= SERVICES and metrics >= FIGURES):
        assert time.monotonic() < end, (services, metrics)
        buyer.buy((product, 1, 1_200))  # again: only some traces of a busy second are recorded
        time.sleep(0.5)
        services = gathered(shop.data, OF_ORDERS)
        metrics = gathered(shop.data, "SELECT DISTINCT metric FROM series")
    assert len(rows(shop.data, "SELECT name FROM runs")) == 1
    assert rows(shop.data, "SELECT sum(lost) FROM rings") == [(0,)]
