"""Messages in, use cases, messages out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from marketplace.payment.office import Office
from marketplace.payment.use_cases.charge import charge
from marketplace.payment.use_cases.lists import (
    get_payment,
    get_wallet,
    list_cards,
    list_payments,
    list_standing_charges,
)
from shop.payment.v1 import payment_pb2 as pb
from shop.payment.v1.payment_pb2_grpc import PaymentServiceServicer

from marketplace.payment import messages
from marketplace.payment.use_cases.cancel_charge import cancel_charge
from marketplace.payment.use_cases.forget_card import ForgetCard, forget_card
from marketplace.payment.use_cases.outcomes import OutcomeUnknown
from marketplace.payment.use_cases.refund_charge import refund_charge
from marketplace.payment.use_cases.refund_payment import refund_payment
from marketplace.payment.use_cases.resolve_method import ResolveMethod, resolve_method
from marketplace.payment.use_cases.save_card import SaveCard, save_card
from marketplace.payment.use_cases.top_up_wallet import top_up_wallet
from souk.kernel.context import current
from souk.kernel.paging import page_of, page_size_of

Context = grpc.aio.ServicerContext[Any, Any]

_REPLAYED = (("idempotent-replayed", "true"),)


class PaymentServicer(PaymentServiceServicer):
    """shop.payment.v1.PaymentService, over an office."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def GetWallet(self, request: pb.GetWalletRequest, context: Context) -> pb.Wallet:
        return messages.to_wallet(await get_wallet(_user(), self._office))

    async def TopUpWallet(self, request: pb.TopUpWalletRequest, context: Context) -> pb.Wallet:
        topped_up = await top_up_wallet(messages.to_top_up(request, _user()), self._office)
        _mark(context, replayed=topped_up.replayed)
        return messages.to_wallet(topped_up.wallet)

    async def ListPaymentMethods(
        self, request: pb.ListPaymentMethodsRequest, context: Context
    ) -> pb.ListPaymentMethodsResponse:
        page = page_of(request, (int, str), caller=_user())
        shown, token = await list_cards(_user(), page, self._office)
        return pb.ListPaymentMethodsResponse(payment_methods=map(messages.to_method, shown), next_page_token=token)

    async def CreatePaymentMethod(self, request: pb.CreatePaymentMethodRequest, context: Context) -> pb.PaymentMethod:
        return messages.to_method(
            await save_card(SaveCard(_user(), request.card_token, request.is_default), self._office)
        )

    async def DeletePaymentMethod(self, request: pb.DeletePaymentMethodRequest, context: Context) -> Empty:
        await forget_card(ForgetCard(_user(), request.id), self._office)
        return Empty()

    async def ListPayments(self, request: pb.ListPaymentsRequest, context: Context) -> pb.ListPaymentsResponse:
        shown, token = await list_payments(_user(), page_of(request, (str,), caller=_user()), self._office)
        return pb.ListPaymentsResponse(payments=map(messages.to_payment, shown), next_page_token=token)

    async def GetPayment(self, request: pb.GetPaymentRequest, context: Context) -> pb.Payment:
        return messages.to_payment(await get_payment(_user(), request.id, self._office))

    async def RefundPayment(self, request: pb.RefundPaymentRequest, context: Context) -> pb.Payment:
        refunded = await refund_payment(messages.to_refund_payment(request, _user()), self._office)
        _mark(context, replayed=refunded.replayed)
        return messages.to_payment(refunded.payment)

    async def ResolveMethod(self, request: pb.ResolveMethodRequest, context: Context) -> pb.ChargeSource:
        query = ResolveMethod(request.user_id, request.payment_method)
        return messages.to_source(await resolve_method(query, self._office))

    async def Charge(self, request: pb.ChargeRequest, context: Context) -> pb.ChargeResult:
        async with _unknown_is_no_refusal(context):
            return messages.to_result(await charge(messages.to_charge(request), self._office))
        raise AssertionError("abort always raises")

    async def CancelCharge(self, request: pb.CancelChargeRequest, context: Context) -> pb.CancelChargeResponse:
        return messages.to_cancelled(await cancel_charge(messages.to_cancel(request), self._office))

    async def ListOrderCharges(
        self, request: pb.ListOrderChargesRequest, context: Context
    ) -> pb.ListOrderChargesResponse:
        size = page_size_of(request)
        found = await list_standing_charges(request.after, request.min_age_seconds, size, self._office)
        return pb.ListOrderChargesResponse(charges=map(messages.to_order_charge, found))

    async def RefundCharge(self, request: pb.RefundChargeRequest, context: Context) -> pb.ChargeResult:
        async with _unknown_is_no_refusal(context):
            return messages.to_result(await refund_charge(messages.to_refund_charge(request), self._office))
        raise AssertionError("abort always raises")


@asynccontextmanager
async def _unknown_is_no_refusal(context: Context) -> AsyncIterator[None]:
    """A status without a reason: the caller must take it as unknown, and ask again with the same key."""
    try:
        yield
    except OutcomeUnknown as error:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, str(error))


def _user() -> str:
    return current().caller.subject


def _mark(context: Context, *, replayed: bool) -> None:
    if replayed:
        context.set_trailing_metadata(_REPLAYED)
