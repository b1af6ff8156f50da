"""Payment as Order calls it: through a channel, where an answer, a refusal and silence are told apart."""

import pytest
from shop.payment.v1 import payment_pb2 as pb
from shop.payment.v1.payment_pb2_grpc import PaymentServiceStub

from marketplace.payment.service import service
from souk.kernel.clock import SystemClock
from souk.kernel.context import acting_as
from souk.kernel.errors import Outcome
from souk.rpc.call import CallFailed
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.channel import Channel
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher

KEY = b"a key that only this test knows, and nobody else"


@pytest.fixture
async def payment(desk):
    clock = SystemClock()
    dispatcher = Dispatcher(CallerTokens(KEY, "payment", clock))
    dispatcher.add(desk.servicer, service.contract)
    transport = InProcessTransport(dispatcher)
    async with Channel(transport, tokens=CallerTokens(KEY, "order", clock)) as channel:
        with acting_as("order", on_behalf_of="U-1", deadline=clock.monotonic() + 20):
            yield PaymentServiceStub(channel)
    await transport.close()


def _charge(card: str, key: str = "k") -> pb.ChargeRequest:
    source = pb.ChargeSource(card=pb.CardSource(payment_method_id=card))
    return pb.ChargeRequest(key=key, order_id="O-1", user_id="U-1", amount=100, currency="EUR", source=source)


@pytest.mark.parametrize(
    ("token", "outcome", "reason", "final"),
    [
        ("tok_declined", Outcome.REFUSED, "PAYMENT_DECLINED", True),
        ("tok_error", Outcome.REFUSED, "PAYMENT_UNAVAILABLE", False),
        ("tok_slow", Outcome.UNKNOWN, "", False),
    ],
)
async def test_how_a_charge_may_fail(payment, desk, token, outcome, reason, final) -> None:
    card = await desk.card(token)
    with pytest.raises(CallFailed) as failed:
        await payment.Charge(_charge(card))
    assert (failed.value.outcome, failed.value.reason, failed.value.final) == (outcome, reason, final)
    answer = await payment.CancelCharge(pb.CancelChargeRequest(key="k", order_id="O-1"))
    assert answer.settled
    with pytest.raises(CallFailed) as failed:
        await payment.Charge(_charge(card))
    assert failed.value.outcome is Outcome.REFUSED


async def test_an_answer_travels(payment, desk) -> None:
    card = await desk.card("tok_visa")
    assert (await payment.ResolveMethod(pb.ResolveMethodRequest(user_id="U-1", payment_method="card"))).card
    assert (await payment.Charge(_charge(card))).status == pb.PAYMENT_STATUS_CAPTURED
    listed = await payment.ListPayments(pb.ListPaymentsRequest())
    assert [item.order_id for item in listed.payments] == ["O-1"]


async def test_a_declined_charge_says_why(payment, desk) -> None:
    with pytest.raises(CallFailed) as failed:
        await payment.Charge(_charge(await desk.card("tok_insufficient_funds")))
    assert failed.value.messages[0].reason == "insufficient_funds"
