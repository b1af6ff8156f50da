"""The adapters that charge and refund through the Payment service."""

from collections.abc import Sequence

import grpc.aio
from shop.payment.v1 import payment_pb2 as pb
from shop.payment.v1.payment_pb2_grpc import PaymentServiceStub

from marketplace.order.ports import Charge, StandingCharge
from souk.sdk import CallFailed


class ServicePayments:
    """Implements the port `Payments` by calls to Payment. A source is a serialised ChargeSource."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._payment = PaymentServiceStub(channel)

    async def resolve(self, user_id: str, payment_method: str) -> bytes | None:
        request = pb.ResolveMethodRequest(user_id=user_id, payment_method=payment_method)
        try:
            source = await self._payment.ResolveMethod(request)
        except CallFailed as failed:
            if failed.reason == "PAYMENT_METHOD_NOT_FOUND":
                return None
            raise
        return source.SerializeToString()

    async def charge(self, charge: Charge) -> str:
        request = pb.ChargeRequest(
            key=charge.key,
            order_id=charge.order_id,
            user_id=charge.user_id,
            amount=charge.amount,
            currency=charge.currency,
            source=pb.ChargeSource.FromString(charge.source),
        )
        return (await self._payment.Charge(request)).payment_id

    async def cancel(self, key: str, order_id: str) -> None:
        await self._payment.CancelCharge(pb.CancelChargeRequest(key=key, order_id=order_id))

    async def refund(self, key: str, payment_id: str, reason: str) -> None:
        await self._payment.RefundCharge(pb.RefundChargeRequest(key=key, payment_id=payment_id, reason=reason))

    async def standing(self, after: str, min_age: int, limit: int) -> Sequence[StandingCharge]:
        request = pb.ListOrderChargesRequest(page_size=limit, after=after, min_age_seconds=min_age)
        answer = await self._payment.ListOrderCharges(request)
        return [StandingCharge(each.payment_id, each.key, each.order_id) for each in answer.charges]


class PaymentTransactions:
    """Implements the port `PreparedPayments` by calls to Payment; it charges the wallet, whatever the source says."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._payment = PaymentServiceStub(channel)

    async def prepare(self, transaction: str, charge: Charge) -> str:
        request = pb.PrepareChargeRequest(
            transaction=transaction,
            key=charge.key,
            order_id=charge.order_id,
            user_id=charge.user_id,
            amount=charge.amount,
            currency=charge.currency,
        )
        return (await self._payment.PrepareCharge(request)).payment_id

    async def commit(self, transaction: str) -> None:
        await self._payment.CommitPrepared(pb.CommitPreparedRequest(transaction=transaction))

    async def roll_back(self, transaction: str) -> None:
        await self._payment.RollBackPrepared(pb.RollBackPreparedRequest(transaction=transaction))
