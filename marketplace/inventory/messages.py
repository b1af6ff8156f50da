"""Translates reservations and stock into messages of the contract."""

from shop.inventory.v1 import inventory_pb2 as pb

from marketplace.inventory.domain import Reservation, State

_STATES = {
    State.RESERVED: pb.RESERVATION_STATE_RESERVED,
    State.RELEASED: pb.RESERVATION_STATE_RELEASED,
    State.EXPIRED: pb.RESERVATION_STATE_EXPIRED,
    State.COMMITTED: pb.RESERVATION_STATE_COMMITTED,
    State.RETURNED: pb.RESERVATION_STATE_RETURNED,
}


def to_message(reservation: Reservation) -> pb.Reservation:
    """Makes the message of a reservation."""
    return pb.Reservation(key=reservation.key, state=_STATES[reservation.state])


def stock_changed(product_id: str, available: int) -> pb.StockChanged:
    """Makes the event for a change of stock by hand."""
    return pb.StockChanged(product_id=product_id, available=available)
