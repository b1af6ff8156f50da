"""Derives from the definite answers that clients got what the system must contain in the end. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.history import History, Operation

GOOD_CARDS = frozenset({"tok_visa", "tok_slow", "tok_timeout"})
"""Cards that the bank always charges, if it is given the time."""
WALLET_REASONS = frozenset({"PAYMENT_DECLINED", "OUT_OF_STOCK"})


def contradictions(history: History) -> Iterator[str]:
    """Finds operations with contradicting answers, with no definite answer, or with an answer that nobody should
    get."""
    for operation in history.operations:
        yield from _of_one(operation)


def _of_one(operation: Operation) -> Iterator[str]:
    name = f"{operation.kind} {operation.key} ({operation.card or 'no card'})"
    ends = {(answer.status, answer.code, str(answer.body.get("id", ""))) for answer in operation.ends}
    if operation.kind == "cancel":  # an order is cancelled when it was asked for twice, too
        ends = {(status, code, "") for status, code, _ in ends}
    if len(ends) > 1:
        yield f"{name} ended in several ways: {sorted(ends)}"
    if operation.end is None and operation.card != "tok_error":
        last = operation.answers[-1] if operation.answers else None
        yield f"{name} has no definite answer, but {last}"
    for status, code, _ in ends:
        if not _plausible(operation, status, code):
            yield f"{name} was answered {status} {code}"


def _plausible(operation: Operation, status: int, code: str) -> bool:
    """Tells whether a definite answer is possible for what was asked."""
    if operation.kind == "order":
        allowed = {(201, "CONFIRMED"), (409, "OUT_OF_STOCK")}
        if operation.card not in GOOD_CARDS:
            allowed.add((402, "PAYMENT_DECLINED"))
        if operation.card and operation.card not in GOOD_CARDS:
            allowed.discard((201, "CONFIRMED"))
        return (status, code) in allowed
    if operation.kind == "top-up":
        return status == 200 if operation.card in GOOD_CARDS else status == 402
    return status == 200


def confirmed(history: History) -> dict[str, Operation]:
    """Gives the orders of which a client got a confirmation, by id."""
    told = [one for one in history.of("order") if one.succeeded and one.end is not None]
    return {str(one.end.body["id"]): one for one in told if one.end is not None}


def expected_orders(history: History) -> dict[str, tuple[str, int]]:
    """Gives the expected status and refunded total of each confirmed order, by all answers that clients got."""
    found = {}
    orders = confirmed(history)
    refunds = {
        str(one.path.rpartition("/")[2].removesuffix(":refund")): one.body["amount"]
        for one in history.of("refund")
        if one.succeeded
    }
    cancelled = {one.path.rpartition("/")[2].removesuffix(":cancel") for one in history.of("cancel") if one.succeeded}
    for order_id, one in orders.items():
        assert one.end is not None
        total = one.end.body["total"]
        if order_id in cancelled:
            found[order_id] = ("CANCELLED", total)
        else:
            found[order_id] = ("CONFIRMED", refunds.get(str(one.end.body["paymentId"]), 0))
    return found


def expected_wallets(history: History) -> Mapping[str, int]:
    """Gives the expected balance of each client's wallet, in minor units, by all answers that it got."""
    balances: dict[str, int] = defaultdict(int)
    for one in history.of("top-up"):
        if one.succeeded:
            balances[one.client] += one.body["amount"]
    ends = expected_orders(history)
    for order_id, one in confirmed(history).items():
        if one.body["paymentMethod"] == "wallet":
            assert one.end is not None
            balances[one.client] -= one.end.body["total"] - ends[order_id][1]
    return balances


def differences(history: History, orders: Mapping[str, dict[str, Any]], wallets: Mapping[str, int]) -> Iterator[str]:
    """Finds differences between what the system says in the end and what the clients' answers imply."""
    for order_id, (status, refunded) in expected_orders(history).items():
        order = orders.get(order_id)
        if order is None:
            yield f"{order_id} was confirmed, and is not there"
        elif (order["status"], order["refundedTotal"]) != (status, refunded):
            yield f"{order_id} is {order['status']}, {order['refundedTotal']} given back, not {status}, {refunded}"
    told = expected_wallets(history)
    for client, balance in wallets.items():
        if balance != told.get(client, 0):
            yield f"the wallet of {client} holds {balance}, and by its answers {told.get(client, 0)}"
