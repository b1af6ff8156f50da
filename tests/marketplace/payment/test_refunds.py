import asyncio

import pytest
from shop.payment.v1 import payment_pb2 as pb

from souk.kernel.errors import DomainError, InvalidArgument

REFUNDED, PARTLY = pb.PAYMENT_STATUS_REFUNDED, pb.PAYMENT_STATUS_PARTIALLY_REFUNDED


@pytest.fixture(params=["card", "wallet"])
async def payment_id(desk, request) -> str:
    await desk.top_up("t", 1_000)
    card = await desk.card("tok_visa") if request.param == "card" else None
    return (await desk.charge("k", card)).payment_id


async def test_refunds_add_up_and_are_announced(desk, payment_id) -> None:
    first = await desk.refund(payment_id, 300, "r1")
    assert (first.status, first.refunded) == (PARTLY, 300)
    desk.clock.advance(1)
    second = await desk.refund(payment_id, 700, "r2")
    assert (second.status, second.refunded) == (REFUNDED, 1_000)
    events = await desk.events()
    assert [(event.amount, event.refunded_total) for event in events] == [(300, 300), (700, 1_000)]
    assert {(event.order_id, event.user_id, event.currency) for event in events} == {("O-1", "U-1", "EUR")}
    assert len({event.refund_id for event in events}) == 2


async def test_more_than_is_left_is_refused(desk, payment_id) -> None:
    await desk.refund(payment_id, 600, "r1")
    with pytest.raises(DomainError, match="REFUND_TOO_LARGE"):
        await desk.refund(payment_id, 401, "r2")
    assert (await desk.refund(payment_id, 400, "r2")).status == REFUNDED
    with pytest.raises(DomainError, match="REFUND_TOO_LARGE"):
        await desk.refund(payment_id, 1, "r3")


async def test_concurrent_refunds_never_exceed_the_charge(desk, payment_id) -> None:
    tries = [desk.refund(payment_id, 300, f"r{number}") for number in range(8)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(answer, Exception) for answer in answers) == 3
    assert (await desk.payment(payment_id)).refunded == 900


async def test_a_repeat_refunds_once(desk, payment_id) -> None:
    await asyncio.gather(*(desk.refund(payment_id, 300, "r1") for _ in range(5)))
    assert desk.record.trailing == {"idempotent-replayed": "true"}
    assert (await desk.payment(payment_id)).refunded == 300
    assert len(await desk.events()) == 1
    for amount, reason in ((301, "test"), (300, "other")):
        with pytest.raises(DomainError, match="IDEMPOTENCY_KEY_REUSED"):
            await desk.refund(payment_id, amount, "r1", reason)


async def test_the_rest_is_given_back_when_the_order_is_cancelled(desk, payment_id) -> None:
    await desk.refund(payment_id, 300, "r1")
    for _ in range(2):
        assert (await desk.refund_rest(payment_id, "O-1:1:refund")).status == REFUNDED
    assert (await desk.refund_rest(payment_id, "O-1:2:refund")).status == REFUNDED
    assert sorted(event.amount for event in await desk.events()) == [300, 700]
    with pytest.raises(DomainError, match="IDEMPOTENCY_KEY_REUSED"):
        await desk.call(
            "RefundCharge", pb.RefundChargeRequest(key="O-1:1:refund", payment_id=payment_id, reason="other"), ""
        )


async def test_what_was_never_captured_is_not_refunded(desk) -> None:
    card = await desk.card("tok_declined")
    with pytest.raises(DomainError):
        await desk.charge("k", card)
    listed = await desk.call("ListPayments", pb.ListPaymentsRequest())
    for call in (desk.refund(listed.payments[0].id, 1, "r"), desk.refund_rest(listed.payments[0].id, "r")):
        with pytest.raises(DomainError, match="NOT_REFUNDABLE"):
            await call


async def test_only_payments_of_orders_are_found(desk) -> None:
    await desk.top_up("t", 1_000)
    await desk.cancel("k")
    hidden = [row["id"] for row in await desk.rows("SELECT id FROM payments")]
    assert len(hidden) == 2
    for payment_id in ("PAY-none", *hidden):
        with pytest.raises(DomainError, match="PAYMENT_NOT_FOUND"):
            await desk.refund(payment_id, 1, "r")


@pytest.mark.parametrize(
    ("amount", "key", "reason", "field"),
    [
        (0, "r", "test", "amount"),
        (1, "", "test", "idempotency_key"),
        (1, "r", "", "reason"),
    ],
)
async def test_a_wrong_refund_is_refused(desk, amount, key, reason, field) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await desk.refund("PAY-1", amount, key, reason)
    assert [violation.field for violation in refused.value.violations] == [field]
