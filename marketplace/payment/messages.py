"""Messages of the contract to commands and back; what is wrong with a request is said here."""

import re
from collections.abc import Iterable, Iterator

from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.domain import MAX_MONEY, Card, Payment, Status, Wallet
from marketplace.payment.use_cases.cancel_charge import CancelCharge, Cancelled
from marketplace.payment.use_cases.charge import Charge
from marketplace.payment.use_cases.refund_charge import RefundCharge
from marketplace.payment.use_cases.refund_payment import RefundPayment
from marketplace.payment.use_cases.top_up_wallet import TopUpWallet
from souk.kernel.errors import InvalidArgument, Violation

MAX_KEY = 255
MAX_REASON = 200
_MAX_ID = 128
_CURRENCY = re.compile(r"[A-Z]{3}")

_STATUSES = {
    Status.PENDING: pb.PAYMENT_STATUS_PENDING,
    Status.CAPTURED: pb.PAYMENT_STATUS_CAPTURED,
    Status.DECLINED: pb.PAYMENT_STATUS_DECLINED,
    Status.VOIDED: pb.PAYMENT_STATUS_VOIDED,
    Status.PARTIALLY_REFUNDED: pb.PAYMENT_STATUS_PARTIALLY_REFUNDED,
    Status.REFUNDED: pb.PAYMENT_STATUS_REFUNDED,
}


def to_charge(request: pb.ChargeRequest) -> Charge:
    """The command; raises InvalidArgument with everything that is wrong."""
    kind = request.source.WhichOneof("source")
    _refuse(
        _key(request.key),
        _id("order_id", request.order_id),
        _id("user_id", request.user_id),
        _amount(request.amount),
        _currency(request.currency),
        () if kind else (Violation("source", "must be a card or the wallet"),),
    )
    card_id = request.source.card.payment_method_id if kind == "card" else None
    return Charge(request.key, request.order_id, request.user_id, request.amount, request.currency, card_id)


def to_cancel(request: pb.CancelChargeRequest) -> CancelCharge:
    """The command; raises InvalidArgument with everything that is wrong."""
    _refuse(_key(request.key), _id("order_id", request.order_id))
    return CancelCharge(request.key, request.order_id)


def to_top_up(request: pb.TopUpWalletRequest, user_id: str) -> TopUpWallet:
    """The command; raises InvalidArgument with everything that is wrong."""
    _refuse(_amount(request.amount), _currency(request.currency), _key(request.idempotency_key, "idempotency_key"))
    return TopUpWallet(user_id, request.idempotency_key, request.amount, request.currency, request.card_token)


def to_refund_payment(request: pb.RefundPaymentRequest, caller: str) -> RefundPayment:
    """The command; raises InvalidArgument with everything that is wrong."""
    _refuse(_amount(request.amount), _reason(request.reason), _key(request.idempotency_key, "idempotency_key"))
    return RefundPayment(caller, request.idempotency_key, request.id, request.amount, request.reason)


def to_refund_charge(request: pb.RefundChargeRequest) -> RefundCharge:
    """The command; raises InvalidArgument with everything that is wrong."""
    _refuse(_key(request.key), _reason(request.reason))
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


def _refuse(*checks: Iterable[Violation]) -> None:
    violations = [violation for check in checks for violation in check]
    if violations:
        raise InvalidArgument(violations)


def _key(key: str, field: str = "key") -> Iterator[Violation]:
    if not 1 <= len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
        yield Violation(field, f"must be 1 to {MAX_KEY} printable ASCII characters")


def _id(field: str, value: str) -> Iterator[Violation]:
    if not 1 <= len(value) <= _MAX_ID or not value.isprintable():
        yield Violation(field, f"must be 1 to {_MAX_ID} printable characters")


def _amount(amount: int) -> Iterator[Violation]:
    if not 1 <= amount <= MAX_MONEY:
        yield Violation("amount", f"must be 1 to {MAX_MONEY}")


def _currency(currency: str) -> Iterator[Violation]:
    if not _CURRENCY.fullmatch(currency):
        yield Violation("currency", "must be an ISO 4217 code, such as EUR")


def _reason(reason: str) -> Iterator[Violation]:
    if not 1 <= len(reason) <= MAX_REASON or "\0" in reason:
        yield Violation("reason", f"must be 1 to {MAX_REASON} characters")
