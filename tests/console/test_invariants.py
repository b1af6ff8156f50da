"""The page of invariants: what holds, what only moves, what is broken by how much, and what could not be read."""

from collections.abc import Callable

import pytest
from soukapi.v1 import accounts_pb2, parked_pb2, sagas_pb2

from souk.console.page import Operator, PageRequest
from souk.console.pages.invariants import invariants_page
from souk.runtime.service import Invariant

MONEY = Invariant("Money", "What was taken is what is owed.", ("payment/kept",), ("order/owed",))
LEDGER = Invariant("Ledger", "It sums to zero.", ("payment/postings",))


class Books:
    """Stands for the running system: its accounts may change from one read to the next."""

    def __init__(self, *reads: dict[str, dict[str, int]], pending: int = 0, failed: str = "") -> None:
        self.reads, self.pending, self.failed = list(reads), pending, failed

    async def accounts(self) -> accounts_pb2.ReadAccountsResponse:
        read = self.reads.pop(0) if len(self.reads) > 1 else self.reads[0]
        found = accounts_pb2.ReadAccountsResponse(silent=["order"] if "order/owed" not in read else [])
        for name, amounts in read.items():
            service, _, account = name.partition("/")
            failed = self.failed if name == "payment/postings" else ""
            found.accounts.add(service=service, account=account, amounts=amounts, failed=failed)
        return found

    async def lag(self) -> parked_pb2.ListLagResponse:
        found = parked_pb2.ListLagResponse()
        found.consumers.add(consumer="a/b", pending=self.pending)
        return found

    async def saga_runs(self, request: sagas_pb2.ListSagaRunsRequest) -> sagas_pb2.ListSagaRunsResponse:
        assert request.limit == 1
        return sagas_pb2.ListSagaRunsResponse()


def read(kept: int, owed: int, posted: int = 0) -> dict[str, dict[str, int]]:
    return {"payment/kept": {"EUR": kept}, "order/owed": {"EUR": owed}, "payment/postings": {"EUR": posted}}


async def states(books: Books) -> dict[str, tuple[str, list[int]]]:
    page = invariants_page(books, [MONEY, LEDGER])  # type: ignore[arg-type]  # it answers as the system does
    shown = await page.show(PageRequest("/console/invariants", {}, {}, Operator("U"), 1))
    return {
        one["name"]: (one["state"], [sum_["left"] - sum_["right"] for sum_ in one["differences"]])
        for one in shown.document["invariants"]
    }


@pytest.mark.parametrize(
    ("books", "money", "ledger"),
    [
        (lambda: Books(read(100, 100)), ("holds", []), ("holds", [])),
        (lambda: Books(read(100, 40)), ("broken", [60]), ("holds", [])),
        (lambda: Books(read(100, 40), pending=1), ("in motion", [60]), ("holds", [])),
        (lambda: Books(read(1, 1, posted=-3), pending=1), ("holds", []), ("broken", [-3])),
        (lambda: Books(read(100, 40), read(100, 100)), ("holds", []), ("holds", [])),
        (lambda: Books(read(100, 40), read(140, 100), read(160, 100)), ("in motion", [40]), ("holds", [])),
        (lambda: Books(read(1, 1), failed="locked"), ("holds", []), ("not read", [])),
        (lambda: Books({"payment/kept": {}, "payment/postings": {}}), ("not read", []), ("holds", [])),
    ],
)
async def test_what_is_called_how(
    books: Callable[[], Books], money: tuple[str, list[int]], ledger: tuple[str, list[int]]
) -> None:
    assert await states(books()) == {"Money": money, "Ledger": ledger}
