"""Turns requests into commands and results into messages; validates requests beyond the contract's limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from shop.payment.v1 import payment_pb2 as pb
from shop.payment.v1.payment_pb2_grpc import PaymentServiceServicer

from marketplace.payment import messages
from marketplace.payment.deps import Deps
from marketplace.payment.use_cases.cancel_charge import CancelCharge, cancel_charge
from marketplace.payment.use_cases.charge_order import ChargeOrder, PrepareCharge, charge_order, prepare_charge
from marketplace.payment.use_cases.forget_card import ForgetCard, forget_card
from marketplace.payment.use_cases.outcomes import OutcomeUnknown
from marketplace.payment.use_cases.read_payments import (
    GetPayment,
    GetWallet,
    ListCards,
    ListPayments,
    ListStandingCharges,
    get_payment,
    get_wallet,
    list_cards,
    list_payments,
    list_standing_charges,
)
from marketplace.payment.use_cases.refund_charge import RefundCharge, refund_charge
from marketplace.payment.use_cases.refund_payment import RefundPayment, refund_payment
from marketplace.payment.use_cases.resolve_method import ResolveMethod, resolve_method
from marketplace.payment.use_cases.save_card import SaveCard, save_card
from marketplace.payment.use_cases.top_up_wallet import TopUpWallet, top_up_wallet
from souk.sdk import InvalidArgument, Violation, current, page_of, page_size_of

Context = grpc.aio.ServicerContext[Any, Any]

_REPLAYED = (("idempotent-replayed", "true"),)


class PaymentServicer(PaymentServiceServicer):
    """Serves shop.payment.v1.PaymentService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def GetWallet(self, request: pb.GetWalletRequest, context: Context) -> pb.Wallet:
        return messages.to_wallet(await get_wallet(self._deps, GetWallet(_user())))

    async def TopUpWallet(self, request: pb.TopUpWalletRequest, context: Context) -> pb.Wallet:
        topped_up = await top_up_wallet(self._deps, _to_top_up(request, _user()))
        _mark(context, replayed=topped_up.replayed)
        return messages.to_wallet(topped_up.wallet)

    async def ListPaymentMethods(
        self, request: pb.ListPaymentMethodsRequest, context: Context
    ) -> pb.ListPaymentMethodsResponse:
        page = page_of(request, (int, str), caller=_user())
        shown, token = await list_cards(self._deps, ListCards(_user(), page))
        return pb.ListPaymentMethodsResponse(payment_methods=map(messages.to_method, shown), next_page_token=token)

    async def CreatePaymentMethod(self, request: pb.CreatePaymentMethodRequest, context: Context) -> pb.PaymentMethod:
        return messages.to_method(
            await save_card(self._deps, SaveCard(_user(), request.card_token, request.is_default))
        )

    async def DeletePaymentMethod(self, request: pb.DeletePaymentMethodRequest, context: Context) -> Empty:
        await forget_card(self._deps, ForgetCard(_user(), request.id))
        return Empty()

    async def ListPayments(self, request: pb.ListPaymentsRequest, context: Context) -> pb.ListPaymentsResponse:
        page = page_of(request, (str,), caller=_user())
        shown, token = await list_payments(self._deps, ListPayments(_user(), page))
        return pb.ListPaymentsResponse(payments=map(messages.to_payment, shown), next_page_token=token)

    async def GetPayment(self, request: pb.GetPaymentRequest, context: Context) -> pb.Payment:
        return messages.to_payment(await get_payment(self._deps, GetPayment(_user(), request.id)))

    async def RefundPayment(self, request: pb.RefundPaymentRequest, context: Context) -> pb.Payment:
        refunded = await refund_payment(self._deps, _to_refund_payment(request, _user()))
        _mark(context, replayed=refunded.replayed)
        return messages.to_payment(refunded.payment)

    async def ResolveMethod(self, request: pb.ResolveMethodRequest, context: Context) -> pb.ChargeSource:
        query = ResolveMethod(request.user_id, request.payment_method)
        return messages.to_source(await resolve_method(self._deps, query))

    async def Charge(self, request: pb.ChargeRequest, context: Context) -> pb.ChargeResult:
        async with _unknown_is_no_refusal(context):
            return messages.to_result(await charge_order(self._deps, _to_charge(request)))
        raise AssertionError("abort always raises")

    async def CancelCharge(self, request: pb.CancelChargeRequest, context: Context) -> pb.CancelChargeResponse:
        cancelled = await cancel_charge(self._deps, CancelCharge(request.key, request.order_id))
        return messages.to_cancelled(cancelled.status, settled=cancelled.settled)

    async def ListOrderCharges(
        self, request: pb.ListOrderChargesRequest, context: Context
    ) -> pb.ListOrderChargesResponse:
        query = ListStandingCharges(request.after, request.min_age_seconds, page_size_of(request))
        found = await list_standing_charges(self._deps, query)
        return pb.ListOrderChargesResponse(charges=map(messages.to_order_charge, found))

    async def RefundCharge(self, request: pb.RefundChargeRequest, context: Context) -> pb.ChargeResult:
        async with _unknown_is_no_refusal(context):
            return messages.to_result(await refund_charge(self._deps, _to_refund_charge(request)))
        raise AssertionError("abort always raises")

    async def PrepareCharge(self, request: pb.PrepareChargeRequest, context: Context) -> pb.ChargeResult:
        return messages.to_result(await prepare_charge(self._deps, _to_prepare(request)))

    async def CommitPrepared(self, request: pb.CommitPreparedRequest, context: Context) -> Empty:
        await self._deps.participant.commit(request.transaction)
        return Empty()

    async def RollBackPrepared(self, request: pb.RollBackPreparedRequest, context: Context) -> Empty:
        await self._deps.participant.roll_back(request.transaction)
        return Empty()


@asynccontextmanager
async def _unknown_is_no_refusal(context: Context) -> AsyncIterator[None]:
    """Answers OutcomeUnknown by a status without a reason: for the caller the outcome is unknown, and it retries."""
    try:
        yield
    except OutcomeUnknown as error:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, str(error))


def _user() -> str:
    return current().caller.subject


def _mark(context: Context, *, replayed: bool) -> None:
    if replayed:
        context.set_trailing_metadata(_REPLAYED)


def _to_charge(request: pb.ChargeRequest) -> ChargeOrder:
    """Makes the command; raises InvalidArgument when the request names no source to charge."""
    kind = request.source.WhichOneof("source")
    if kind is None:
        raise InvalidArgument([Violation("source", "must be a card or the wallet")])
    card_id = request.source.card.payment_method_id if kind == "card" else None
    return ChargeOrder(request.key, request.order_id, request.user_id, request.amount, request.currency, card_id)


def _to_prepare(request: pb.PrepareChargeRequest) -> PrepareCharge:
    charge = ChargeOrder(request.key, request.order_id, request.user_id, request.amount, request.currency, None)
    return PrepareCharge(request.transaction, charge)


def _to_top_up(request: pb.TopUpWalletRequest, user_id: str) -> TopUpWallet:
    return TopUpWallet(user_id, request.idempotency_key, request.amount, request.currency, request.card_token)


def _to_refund_payment(request: pb.RefundPaymentRequest, caller: str) -> RefundPayment:
    return RefundPayment(caller, request.idempotency_key, request.id, request.amount, request.reason)


def _to_refund_charge(request: pb.RefundChargeRequest) -> RefundCharge:
    return RefundCharge(request.key, request.payment_id, request.reason)
