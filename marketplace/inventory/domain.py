"""Reservations of stock, as a table of what each action does to each state.

(unknown key) --reserve--> RESERVED --commit--> COMMITTED --return--> RETURNED
                              |
                              +--expire--> EXPIRED --reserve, if there is stock--> RESERVED
                              |               +------commit, if there is stock---> COMMITTED
                              +--release--> RELEASED <--release-- (unknown key), EXPIRED
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

MAX_PIECES = 2**53 - 1
"""The largest integer that a JSON number holds exactly."""


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """A quantity of one product."""

    product_id: str
    quantity: int


class State(Enum):
    """The state of a reservation."""

    RESERVED = "reserved"
    RELEASED = "released"
    EXPIRED = "expired"
    COMMITTED = "committed"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Stock reserved for an order; `items` are sorted by product id, `expires_at` is in microseconds since 1970."""

    key: str
    order_id: str
    items: tuple[Item, ...]
    state: State
    expires_at: int


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A recorded change of stock by hand; `available` is the stock after it."""

    caller: str
    key: str
    product_id: str
    delta: int
    reason: str
    available: int


class Action(Enum):
    """The actions on a reservation: requests of callers, and `EXPIRE`, which the service does itself."""

    RESERVE = "reserve"
    RELEASE = "release"
    COMMIT = "commit"
    RETURN = "return"
    EXPIRE = "expire"


class Move(Enum):
    """A move of pieces between available, reserved and sold. Only a HOLD can fail for want of stock."""

    HOLD = "available → reserved"
    PUT_BACK = "reserved → available"
    SELL = "reserved → sold"
    TAKE_BACK = "sold → available"


@dataclass(frozen=True, slots=True)
class Change:
    """The state that an action leads to, and the moves that it makes. The same state means a repeat."""

    state: State
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The refusal of an action in a state; `reason` is one of the contract's."""

    reason: str
    detail: str


_NOT_FOUND = Refused("RESERVATION_NOT_FOUND", "nothing is reserved under this key")
_NOT_SOLD = Refused("RESERVATION_NOT_FOUND", "nothing was sold under this key")
_RELEASED = Refused("RESERVATION_RELEASED", "this reservation was released")
_COMMITTED = Refused("RESERVATION_COMMITTED", "this reservation was sold")

TABLE: dict[tuple[State | None, Action], Change | Refused] = {
    (None, Action.RESERVE): Change(State.RESERVED, (Move.HOLD,)),
    (None, Action.RELEASE): Change(State.RELEASED),
    (None, Action.COMMIT): _NOT_FOUND,
    (None, Action.RETURN): _NOT_SOLD,
    (None, Action.EXPIRE): _NOT_FOUND,
    (State.RESERVED, Action.RESERVE): Change(State.RESERVED),
    (State.RESERVED, Action.RELEASE): Change(State.RELEASED, (Move.PUT_BACK,)),
    (State.RESERVED, Action.COMMIT): Change(State.COMMITTED, (Move.SELL,)),
    (State.RESERVED, Action.RETURN): _NOT_SOLD,
    (State.RESERVED, Action.EXPIRE): Change(State.EXPIRED, (Move.PUT_BACK,)),
    (State.RELEASED, Action.RESERVE): _RELEASED,
    (State.RELEASED, Action.RELEASE): Change(State.RELEASED),
    (State.RELEASED, Action.COMMIT): _RELEASED,
    (State.RELEASED, Action.RETURN): _NOT_SOLD,
    (State.RELEASED, Action.EXPIRE): Change(State.RELEASED),
    (State.EXPIRED, Action.RESERVE): Change(State.RESERVED, (Move.HOLD,)),
    (State.EXPIRED, Action.RELEASE): Change(State.RELEASED),
    (State.EXPIRED, Action.COMMIT): Change(State.COMMITTED, (Move.HOLD, Move.SELL)),
    (State.EXPIRED, Action.RETURN): _NOT_SOLD,
    (State.EXPIRED, Action.EXPIRE): Change(State.EXPIRED),
    (State.COMMITTED, Action.RESERVE): Change(State.COMMITTED),
    (State.COMMITTED, Action.RELEASE): _COMMITTED,
    (State.COMMITTED, Action.COMMIT): Change(State.COMMITTED),
    (State.COMMITTED, Action.RETURN): Change(State.RETURNED, (Move.TAKE_BACK,)),
    (State.COMMITTED, Action.EXPIRE): Change(State.COMMITTED),
    (State.RETURNED, Action.RESERVE): Change(State.RETURNED),
    (State.RETURNED, Action.RELEASE): _COMMITTED,
    (State.RETURNED, Action.COMMIT): Change(State.RETURNED),
    (State.RETURNED, Action.RETURN): Change(State.RETURNED),
    (State.RETURNED, Action.EXPIRE): Change(State.RETURNED),
}


def decide(state: State | None, action: Action) -> Change | Refused:
    """Decides what an action does to a reservation in a state; None is the state of an unknown key."""
    return TABLE[state, action]


def moves_between(before: State | None, after: State) -> tuple[Move, ...]:
    """Returns the moves of the action that leads from one state to another; those of a prepared sale for a new key that
    is sold at once."""
    changes = (change for (state, _), change in TABLE.items() if state is before and isinstance(change, Change))
    return next((one.moves for one in changes if one.state is after), (Move.HOLD, Move.SELL) if before is None else ())


def in_product_order(items: Sequence[Item]) -> tuple[Item, ...]:
    """Returns the items in the order in which rows are locked, which is always the same, to avoid deadlocks."""
    return tuple(sorted(items))
