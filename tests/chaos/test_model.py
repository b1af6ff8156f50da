"""The checker of chaotic runs finds what it is there to find: each lie is told to it once."""

from typing import Any

import pytest

from tests.chaos.history import NOTHING, Answer, History, Operation, longest_gap
from tests.chaos.model import contradictions, differences

ORDER = {"id": "ORD-1", "status": "CONFIRMED", "total": 900, "paymentId": "PAY-1", "refundedTotal": 0}
WALLET_ORDER = {**ORDER, "id": "ORD-2", "paymentId": "PAY-2"}


def _answer(number: int, code: str = "", **body: Any) -> Answer:
    return Answer(0.0, 0.1, number, code, body)


def _order(*answers: Answer, card: str = "tok_visa", method: str = "PM-1") -> Operation:
    return Operation("a", "order", "key", "/api/v1/orders", {"paymentMethod": method}, card, list(answers))


def _top_up(*answers: Answer, card: str = "tok_visa") -> Operation:
    return Operation("a", "top-up", "key", "/api/v1/wallet:topUp", {"amount": 1_000}, card, list(answers))


GOOD = History(
    [
        _order(_answer(503, "PAYMENT_UNAVAILABLE"), _answer(NOTHING, "ReadError"), _answer(201, "CONFIRMED", **ORDER)),
        _order(_answer(201, "CONFIRMED", **WALLET_ORDER), card="", method="wallet"),
        _order(_answer(402, "PAYMENT_DECLINED"), card="tok_declined"),
        _order(_answer(503, "PAYMENT_UNAVAILABLE"), card="tok_error"),
        _top_up(_answer(202, "PENDING"), _answer(200)),
        Operation("a", "cancel", "c", "/api/v1/orders/ORD-1:cancel", {}, "", [_answer(200, "CANCELLED", id="ORD-1")]),
        Operation("a", "refund", "r", "/api/v1/payments/PAY-2:refund", {"amount": 300}, "", [_answer(200)]),
    ]
)
ORDERS = {
    "ORD-1": {"status": "CANCELLED", "refundedTotal": 900},
    "ORD-2": {"status": "CONFIRMED", "refundedTotal": 300},
}
WALLETS = {"a": 1_000 - 900 + 300}


def test_a_history_that_is_true_has_nothing_against_it() -> None:
    assert list(contradictions(GOOD)) == []
    assert list(differences(GOOD, ORDERS, WALLETS)) == []


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (_order(_answer(201, "CONFIRMED", **ORDER), _answer(201, "CONFIRMED", **WALLET_ORDER)), "in several ways"),
        (_order(_answer(201, "CONFIRMED", **ORDER), _answer(409, "OUT_OF_STOCK")), "in several ways"),
        (_order(_answer(503, "PAYMENT_UNAVAILABLE")), "no definite answer"),
        (_order(_answer(402, "PAYMENT_DECLINED")), "was answered 402"),
        (_order(_answer(401, "UNAUTHENTICATED")), "was answered 401"),
        (_order(_answer(500, "INTERNAL")), "was answered 500"),
        (_order(_answer(201, "CONFIRMED", **ORDER), card="tok_declined"), "was answered 201"),
        (_order(_answer(201, "CONFIRMED", **ORDER), card="tok_error"), "was answered 201"),
        (_top_up(_answer(503, "PAYMENT_UNAVAILABLE"), _answer(402, "PAYMENT_DECLINED")), "was answered 402"),
        (_top_up(_answer(200), card="tok_error"), "was answered 200"),
    ],
)
def test_an_answer_that_cannot_be_true_is_found(operation: Operation, words: str) -> None:
    (found,) = {line for line in contradictions(History([operation])) if words in line}
    assert words in found


@pytest.mark.parametrize(
    ("orders", "wallets", "words"),
    [
        ({"ORD-2": ORDERS["ORD-2"]}, WALLETS, "is not there"),
        ({**ORDERS, "ORD-1": {"status": "CONFIRMED", "refundedTotal": 0}}, WALLETS, "not CANCELLED"),
        ({**ORDERS, "ORD-2": {"status": "CONFIRMED", "refundedTotal": 0}}, WALLETS, "not CONFIRMED, 300"),
        (ORDERS, {"a": 500}, "by its answers 400"),
    ],
)
def test_a_system_that_says_otherwise_is_found(orders: Any, wallets: Any, words: str) -> None:
    (found,) = differences(GOOD, orders, wallets)
    assert words in found


def test_the_longest_gap_reaches_beyond_the_window() -> None:
    assert longest_gap([1.0, 2.0, 7.0, 8.0], 3.0, 4.0) == 5.0
    assert longest_gap([1.0, 3.2, 3.4, 5.0], 3.0, 4.0) == pytest.approx(2.2)
    assert longest_gap([], 3.0, 4.0) == 1.0
