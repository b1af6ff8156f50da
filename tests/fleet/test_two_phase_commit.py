"""A fleet on its own PostgreSQL that places orders which the wallet pays by two-phase commit."""

from pathlib import Path

import pytest

from souk.testing.system import fleet, until
from tests.market.api import log_in, wish
from tests.market.books import Books
from tests.market.rows import Row

ORDERS = "/api/v1/orders"
COORDINATOR = {"SOUK_ORDER_COORDINATOR": "two-phase-commit"}


def ended_runs(books: Books) -> list[Row]:
    return books.rows("order", "SELECT subject, phase FROM souk_two_phase_run WHERE ended")


@pytest.mark.full
def test_the_wallet_and_the_stock_are_committed_together_in_three_processes(tmp_path: Path) -> None:
    settings = {**COORDINATOR, "SOUK_POSTGRES_PREPARED_TRANSACTIONS": "20"}
    with fleet(tmp_path, settings=settings) as system, log_in(system.url, "demo@souk.test", "demo-password") as buyer:
        money = buyer.ok("GET", "/api/v1/wallet")["balance"]
        order = buyer.ok("POST", ORDERS, 201, json={**wish(("P-101", 2, 1_200)), "paymentMethod": "wallet"})
        books = Books(system.data)
        until(lambda: len(ended_runs(books)) == 1, 60, "the run has ended")
        assert ended_runs(books) == [{"subject": order["id"], "phase": "committed"}]
        assert books.rows("order", "SELECT subject FROM souk_saga_run") == []
        branches = [
            books.rows(name, "SELECT key, state FROM souk_two_phase_branch") for name in ("inventory", "payment")
        ]
        assert branches == [[{"key": f"{order['id']}:1", "state": "committed"}]] * 2
        assert books.rows("order", "SELECT gid FROM pg_prepared_xacts") == []
        assert buyer.ok("GET", "/api/v1/wallet")["balance"] == money - 2_400

        buyer.ok("POST", ORDERS, 201, json=wish(("P-101", 1, 1_200)))
        assert len(ended_runs(books)) == 1, "a card is charged by the saga"
        assert len(books.rows("order", "SELECT subject FROM souk_saga_run")) == 1


def test_a_fleet_whose_server_takes_no_prepared_transactions_does_not_start(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"souk: order, .* set SOUK_POSTGRES_PREPARED_TRANSACTIONS to"),
        fleet(tmp_path, settings=COORDINATOR),
    ):
        raise RuntimeError("it started")
