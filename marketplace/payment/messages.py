"""Payments, cards and wallets as messages of the contract."""

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
    """A charge as the contract shows it."""
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
    """A charge as whoever asked for it sees it."""
    return pb.ChargeResult(payment_id=payment.id, status=_STATUSES[payment.status])


def to_order_charge(payment: Payment) -> pb.OrderCharge:
    """A charge that stands, as Order compares it."""
    return pb.OrderCharge(payment_id=payment.id, key=payment.key, order_id=payment.order_id)


def to_cancelled(status: Status | None, *, settled: bool) -> pb.CancelChargeResponse:
    """Where an undo stands; None where there never was a charge."""
    shown = _STATUSES[status] if status else pb.PAYMENT_STATUS_UNSPECIFIED
    return pb.CancelChargeResponse(status=shown, settled=settled)


def to_source(card_id: str | None) -> pb.ChargeSource:
    """What will be charged."""
    if card_id is None:
        return pb.ChargeSource(wallet=pb.WalletSource())
    return pb.ChargeSource(card=pb.CardSource(payment_method_id=card_id))


def to_method(card: Card) -> pb.PaymentMethod:
    """A saved card, without its token."""
    return pb.PaymentMethod(id=card.id, brand=card.brand, last4=card.last4, is_default=card.is_default)


def to_wallet(wallet: Wallet) -> pb.Wallet:
    """A wallet as the contract shows it."""
    return pb.Wallet(balance=wallet.balance, currency=wallet.currency)


def payment_refunded(payment: Payment, refund: Refund) -> pb.PaymentRefunded:
    """What others are told when money of an order was given back."""
    return pb.PaymentRefunded(
        payment_id=payment.id,
        order_id=payment.order_id,
        user_id=payment.user_id,
        amount=refund.amount,
        refunded_total=payment.refunded,
        currency=payment.currency,
        refund_id=refund.id,
    )
