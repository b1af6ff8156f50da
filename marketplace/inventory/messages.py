"""Messages of the contract to commands and back; what is wrong beyond the contract's limits is said here."""

from collections.abc import Iterable, Iterator

from marketplace.inventory.use_cases.reserve import Reserve
from shop.inventory.v1 import inventory_pb2 as pb

from marketplace.inventory.domain import Item, Reservation, State
from marketplace.inventory.use_cases.adjust_stock import AdjustStock
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import InvalidArgument, Violation

_STATES = {
    State.RESERVED: pb.RESERVATION_STATE_RESERVED,
    State.RELEASED: pb.RESERVATION_STATE_RELEASED,
    State.EXPIRED: pb.RESERVATION_STATE_EXPIRED,
    State.COMMITTED: pb.RESERVATION_STATE_COMMITTED,
    State.RETURNED: pb.RESERVATION_STATE_RETURNED,
}


def to_reserve(request: pb.ReserveRequest) -> Reserve:
    """The command; raises InvalidArgument with everything that is wrong."""
    _refuse(_twice(request.items), _expiry(request))
    items = tuple(Item(item.product_id, item.quantity) for item in request.items)
    expires_at = request.expires_at.seconds * MICROSECONDS + request.expires_at.nanos // 1_000
    return Reserve(request.key, request.order_id, items, expires_at)


def to_adjust(request: pb.AdjustStockRequest, caller: str) -> AdjustStock:
    """The command; raises InvalidArgument with everything that is wrong."""
    _refuse(_delta(request.delta))
    return AdjustStock(caller, request.idempotency_key, request.product_id, request.delta, request.reason)


def to_message(reservation: Reservation) -> pb.Reservation:
    """The reservation as the contract shows it."""
    return pb.Reservation(key=reservation.key, state=_STATES[reservation.state])


def _refuse(*checks: Iterable[Violation]) -> None:
    violations = [violation for check in checks for violation in check]
    if violations:
        raise InvalidArgument(violations)


def _delta(delta: int) -> Iterator[Violation]:
    if delta == 0:
        yield Violation("delta", "must not be 0")


def _expiry(request: pb.ReserveRequest) -> Iterator[Violation]:
    if request.expires_at.seconds <= 0:
        yield Violation("expires_at", "must say when the reservation expires")


def _twice(items: Iterable[pb.StockItem]) -> Iterator[Violation]:
    seen: set[str] = set()
    for place, item in enumerate(items):
        if item.product_id in seen:
            yield Violation(f"items[{place}].product_id", "occurs more than once")
        seen.add(item.product_id)
