"""Translates what a step of placing was refused with into a refusal of Order's own contract."""

from typing import TypeVar

from google.protobuf.message import Message
from shop.inventory.v1 import inventory_pb2
from shop.payment.v1 import payment_pb2

from marketplace.order.messages import out_of_stock, payment_declined, unavailable
from marketplace.order.saga.attempt import RESERVE
from souk.sdk import DomainError, Refusal, decode_status

M = TypeVar("M", bound=Message)


def refusal_of(refusal: Refusal) -> DomainError:
    """Returns the refusal that the buyer gets; one that is not known means that the step's service is unavailable."""
    match refusal.step, refusal.reason:
        case _, "OUT_OF_STOCK":
            short = _detail(refusal.status, inventory_pb2.StockShortage())
            return out_of_stock({item.product_id: item.available for item in short.items})
        case _, "PAYMENT_DECLINED":
            info = _detail(refusal.status, payment_pb2.DeclineInfo())
            return payment_declined(refusal.detail, info.reason)
        case step, _:
            return unavailable("inventory" if step == RESERVE else "payment")


def _detail(status: bytes, message: M) -> M:
    return next((detail for detail in decode_status(status).details if isinstance(detail, type(message))), message)
