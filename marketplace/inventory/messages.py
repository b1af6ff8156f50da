"""Messages of the contract to commands and back; what is wrong with a request is said here."""

from collections.abc import Iterable, Iterator

from shop.inventory.v1 import inventory_pb2 as pb

from marketplace.inventory.domain import MAX_ITEMS, MAX_PIECES, MAX_QUANTITY, Item, Reservation, State
from marketplace.inventory.use_cases.adjust_stock import AdjustStock
from marketplace.inventory.use_cases.reserve import Reserve
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import InvalidArgument, Violation

MAX_KEY = 255
MAX_REASON = 200
_MAX_ID = 128

_STATES = {
    State.RESERVED: pb.RESERVATION_STATE_RESERVED,
    State.RELEASED: pb.RESERVATION_STATE_RELEASED,
    State.EXPIRED: pb.RESERVATION_STATE_EXPIRED,
    State.COMMITTED: pb.RESERVATION_STATE_COMMITTED,
    State.RETURNED: pb.RESERVATION_STATE_RETURNED,
}


def to_reserve(request: pb.ReserveRequest) -> Reserve:
    """The command; raises InvalidArgument with everything that is wrong."""
    _refuse(_key(request.key), _id("order_id", request.order_id), _items(request.items), _expiry(request))
    items = tuple(Item(item.product_id, item.quantity) for item in request.items)
    expires_at = request.expires_at.seconds * MICROSECONDS + request.expires_at.nanos // 1_000
    return Reserve(request.key, request.order_id, items, expires_at)


def to_adjust(request: pb.AdjustStockRequest, caller: str) -> AdjustStock:
    """The command; raises InvalidArgument with everything that is wrong."""
    _refuse(
        _id("product_id", request.product_id),
        _delta(request.delta),
        _reason(request.reason),
        _key(request.idempotency_key, "idempotency_key"),
    )
    return AdjustStock(caller, request.idempotency_key, request.product_id, request.delta, request.reason)


def checked_key(key: str) -> str:
    """The key; raises InvalidArgument when it is none."""
    _refuse(_key(key))
    return key


def to_message(reservation: Reservation) -> pb.Reservation:
    """The reservation as the contract shows it."""
    return pb.Reservation(key=reservation.key, state=_STATES[reservation.state])


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


def _reason(reason: str) -> Iterator[Violation]:
    if not 1 <= len(reason) <= MAX_REASON or "\0" in reason:
        yield Violation("reason", f"must be 1 to {MAX_REASON} characters")


def _delta(delta: int) -> Iterator[Violation]:
    if delta == 0 or abs(delta) > MAX_PIECES:
        yield Violation("delta", f"must be -{MAX_PIECES} to {MAX_PIECES}, and not 0")


def _expiry(request: pb.ReserveRequest) -> Iterator[Violation]:
    if request.expires_at.seconds <= 0:
        yield Violation("expires_at", "must say when the reservation lapses")


def _items(items: Iterable[pb.StockItem]) -> Iterator[Violation]:
    seen: set[str] = set()
    place = -1
    for place, item in enumerate(items):
        yield from _id(f"items[{place}].product_id", item.product_id)
        if item.product_id in seen:
            yield Violation(f"items[{place}].product_id", "is there twice")
        if not 1 <= item.quantity <= MAX_QUANTITY:
            yield Violation(f"items[{place}].quantity", f"must be 1 to {MAX_QUANTITY}")
        seen.add(item.product_id)
    if not 0 <= place < MAX_ITEMS:
        yield Violation("items", f"must be 1 to {MAX_ITEMS}")
