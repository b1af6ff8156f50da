"""Translates payments, cards and wallets into messages of the contract."""

from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.domain import Card, Payment, Refund, Status, Wallet

_STATUSES = {
    Status.PENDING: pb.PAYMENT_STATUS_PENDING,
    Status.CAPTURED: pb.PAYMENT_STATUS_CAPTURED,
    Status.DECLINED: pb.PAYMENT_STATUS_DECLINED,
    Status.VOIDED: pb.PAYMENT_STATUS_VOIDED,
    Status.PARTIALLY_REFUNDED: pb.PAYMENT_STATUS_PARTIALLY_REFUNDED,
    Status.REFUNDED: pb.PAYMENT_STATUS_REFUNDED,
}


def to_payment(payment: Payment) -> pb.Payment:
    """Makes the message of a charge for its buyer."""
    message = pb.Payment(
        id=payment.id,
        order_id=payment.order_id,
        amount=payment.amount,
        currency=payment.currency,
        method=payment.method,
        status=_STATUSES[payment.status],
        refunded=payment.refunded,
    )
    message.created_at.FromMicroseconds(payment.created_at)
    return message


def to_result(payment: Payment) -> pb.ChargeResult:
    """Makes the answer to a request to charge or refund."""
    return pb.ChargeResult(payment_id=payment.id, status=_STATUSES[payment.status])


def to_order_charge(payment: Payment) -> pb.OrderCharge:
    """Makes the message of a standing charge for Order to compare."""
    return pb.OrderCharge(payment_id=payment.id, key=payment.key, order_id=payment.order_id)


def to_cancelled(status: Status | None, *, settled: bool) -> pb.CancelChargeResponse:
    """Makes the answer to a request to undo a charge; `status` is None if there never was a charge."""
    shown = _STATUSES[status] if status else pb.PAYMENT_STATUS_UNSPECIFIED
    return pb.CancelChargeResponse(status=shown, settled=settled)


def to_source(card_id: str | None) -> pb.ChargeSource:
    """Makes the source to charge: a card, or the wallet for None."""
    if card_id is None:
        return pb.ChargeSource(wallet=pb.WalletSource())
    return pb.ChargeSource(card=pb.CardSource(payment_method_id=card_id))


def to_method(card: Card) -> pb.PaymentMethod:
    """Makes the message of a saved card, without its token."""
    return pb.PaymentMethod(id=card.id, brand=card.brand, last4=card.last4, is_default=card.is_default)


def to_wallet(wallet: Wallet) -> pb.Wallet:
    """Makes the message of a wallet."""
    return pb.Wallet(balance=wallet.balance, currency=wallet.currency)


def payment_refunded(payment: Payment, refund: Refund) -> pb.PaymentRefunded:
    """Makes the event for a refund of an order's payment."""
    return pb.PaymentRefunded(
        payment_id=payment.id,
        order_id=payment.order_id,
        user_id=payment.user_id,
        amount=refund.amount,
        refunded_total=payment.refunded,
        currency=payment.currency,
        refund_id=refund.id,
    )
