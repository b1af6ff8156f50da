"""Messages of the contract to commands and back; what is wrong beyond the contract's limits is said here."""

from marketplace.payment.use_cases.charge import Charge
from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.domain import Card, Payment, Status, Wallet
from marketplace.payment.use_cases.cancel_charge import CancelCharge, Cancelled
from marketplace.payment.use_cases.refund_charge import RefundCharge
from marketplace.payment.use_cases.refund_payment import RefundPayment
from marketplace.payment.use_cases.top_up_wallet import TopUpWallet
from souk.kernel.errors import InvalidArgument, Violation

_STATUSES = {
    Status.PENDING: pb.PAYMENT_STATUS_PENDING,
    Status.CAPTURED: pb.PAYMENT_STATUS_CAPTURED,
    Status.DECLINED: pb.PAYMENT_STATUS_DECLINED,
    Status.VOIDED: pb.PAYMENT_STATUS_VOIDED,
    Status.PARTIALLY_REFUNDED: pb.PAYMENT_STATUS_PARTIALLY_REFUNDED,
    Status.REFUNDED: pb.PAYMENT_STATUS_REFUNDED,
}


def to_charge(request: pb.ChargeRequest) -> Charge:
    """The command; raises InvalidArgument when it does not say what to charge."""
    kind = request.source.WhichOneof("source")
    if kind is None:
        raise InvalidArgument([Violation("source", "must be a card or the wallet")])
    card_id = request.source.card.payment_method_id if kind == "card" else None
    return Charge(request.key, request.order_id, request.user_id, request.amount, request.currency, card_id)


def to_cancel(request: pb.CancelChargeRequest) -> CancelCharge:
    """The command."""
    return CancelCharge(request.key, request.order_id)


def to_top_up(request: pb.TopUpWalletRequest, user_id: str) -> TopUpWallet:
    """The command."""
    return TopUpWallet(user_id, request.idempotency_key, request.amount, request.currency, request.card_token)


def to_refund_payment(request: pb.RefundPaymentRequest, caller: str) -> RefundPayment:
    """The command."""
    return RefundPayment(caller, request.idempotency_key, request.id, request.amount, request.reason)


def to_refund_charge(request: pb.RefundChargeRequest) -> RefundCharge:
    """The command."""
    return RefundCharge(request.key, request.payment_id, request.reason)


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


def to_cancelled(cancelled: Cancelled) -> pb.CancelChargeResponse:
    """Where an undo stands."""
    status = _STATUSES[cancelled.status] if cancelled.status else pb.PAYMENT_STATUS_UNSPECIFIED
    return pb.CancelChargeResponse(status=status, settled=cancelled.settled)


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
