"""Find charges in Payment's book that no order stands behind, and give them back.

It is the last line behind the saga, which undoes what it asked for. An order is committed before it is charged for,
and a charge is given back only when this service's own log answers that it owes nothing for it: so an order that is
being placed is never touched, however old or young the charge is. See docs/decisions/0039.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from marketplace.order.deps import Deps
from marketplace.order.domain import Order, Status
from marketplace.order.ports import StandingCharge
from souk.sdk import CallFailed, Transaction, acting_as

AT_ONCE = 100
"""Charges that are asked for at once."""
MIN_AGE = 600
"""Seconds since a charge was asked for: what is younger has a saga that sees to it."""
WHOLE_BOOK = 24 * 3_600.0
"""Seconds after which the whole book is gone through again; between, only what is new."""
MOST_UNKNOWN = 10
"""Charges of unknown orders in one look; more of them mean that orders were lost, and not that charges are wrong."""

_log = logging.getLogger(__name__)


class Loss(Enum):
    """Why no order stands behind a charge."""

    UNKNOWN = "unknown"
    """There is no such order, or no such attempt of it."""
    ENDED = "ended"
    """The attempt that it was made for has ended without it."""
    CANCELLED = "cancelled"
    """The order was cancelled."""


Found = Callable[[Loss], None]


@dataclass(frozen=True, slots=True)
class Lost:
    """A charge, and why it is lost."""

    charge: StandingCharge
    loss: Loss


def loss_of(order: Order, charge: StandingCharge) -> Loss | None:
    """Why nothing is owed for a charge; None while it is the order's, or its saga sees to it."""
    attempt = _attempt(charge)
    if not 1 <= attempt <= order.attempt:
        return Loss.UNKNOWN
    if charge.payment_id == order.payment_id:
        return Loss.CANCELLED if order.status is Status.CANCELLED else None
    under_way = order.status is Status.PENDING and attempt == order.attempt
    return None if under_way else Loss.ENDED


def _attempt(charge: StandingCharge) -> int:
    """The attempt that a saga's key names; 0 for a key that is no saga's."""
    order_id, _, rest = charge.key.partition(":")
    attempt = rest.partition(":")[0]
    return int(attempt) if order_id == charge.order_id and attempt.isdecimal() else 0


@dataclass(slots=True)
class Progress:
    """Behind which charge the next look begins, and when the whole book was begun last (monotonic seconds)."""

    after: str = ""
    began_at: float | None = None


@dataclass(frozen=True, slots=True)
class FindLostCharges:
    """Go on from `progress`; `found` counts each; with `report_only` nothing is given back."""

    found: Found
    report_only: bool = False
    progress: Progress = field(default_factory=Progress)


async def find_lost_charges(deps: Deps, command: FindLostCharges) -> None:
    """Goes through what is new, once a day through all; what fails is done at the next look."""
    now = deps.clock.monotonic()
    whole = command.progress.began_at is None or now - command.progress.began_at >= WHOLE_BOOK
    try:
        with acting_as("order"):
            lost, end = await _go_through(deps, "" if whole else command.progress.after)
            await _make_good(deps, command, lost)
    except CallFailed as error:
        _log.warning("Payment's book cannot be compared with the orders now: %s", error)
        return
    command.progress.after = end
    if whole:
        command.progress.began_at = now


async def _go_through(deps: Deps, after: str) -> tuple[Sequence[Lost], str]:
    lost: list[Lost] = []
    while True:
        page = await deps.payments.standing(after, MIN_AGE, AT_ONCE)
        lost += await deps.database.read(partial(_lost, deps, page=page))
        after = page[-1].payment_id if page else after
        if len(page) < AT_ONCE:
            return lost, after


async def _lost(deps: Deps, tx: Transaction, page: Sequence[StandingCharge]) -> list[Lost]:
    found = []
    for charge in page:
        if await deps.orders.is_paid_by(tx, charge.order_id, charge.payment_id):
            continue
        loss = loss_of(await deps.orders.load(tx, charge.order_id), charge)
        if loss is not None:
            found.append(Lost(charge, loss))
    return found


async def _make_good(deps: Deps, command: FindLostCharges, lost: Sequence[Lost]) -> None:
    unknown = sum(each.loss is Loss.UNKNOWN for each in lost)
    if unknown > MOST_UNKNOWN:
        _log.error("%d charges are of unknown orders; are orders missing? None of these is given back", unknown)
    for each in lost:
        keep = command.report_only or (each.loss is Loss.UNKNOWN and unknown > MOST_UNKNOWN)
        if not keep:
            await deps.payments.cancel(each.charge.key, each.charge.order_id)
        command.found(each.loss)
        charge, what = each.charge, "kept" if keep else "given back"
        _log.warning(
            "no order stands behind charge %s of order %s (%s): it is %s",
            *(charge.payment_id, charge.order_id, each.loss.value, what),
        )
