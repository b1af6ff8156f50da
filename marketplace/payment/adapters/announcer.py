"""Announcements as events in the outbox."""

from shop.payment.v1 import payment_pb2

from marketplace.payment.domain import Payment, Refund
from souk.store.database import Transaction
from souk.store.outbox import Outbox


class OutboxAnnouncer:
    """Implements `ports.Announcer`."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def refunded(self, tx: Transaction, payment: Payment, refund: Refund) -> None:
        """Publishes PaymentRefunded, in order for each order."""
        event = payment_pb2.PaymentRefunded(
            payment_id=payment.id,
            order_id=payment.order_id,
            user_id=payment.user_id,
            amount=refund.amount,
            refunded_total=payment.refunded,
            currency=payment.currency,
            refund_id=refund.id,
        )
        await self._outbox.publish(tx, payment.order_id, event)
