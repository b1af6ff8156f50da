"""Find charges in Payment's book that belong to no order, and refund them.

It is the last safeguard behind the saga, which undoes its own charges. An order is committed before it is charged,
and a charge is refunded only when Order's own event log shows that no order needs it. So an order that is being
placed is never touched, however old or young the charge is. See docs/decisions/0039.

A lost charge is stored and counted when it is first found, whatever replica finds it again. It is open until it is
given back, or until a comparison of the whole book no longer finds it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from marketplace.order.deps import Deps
from marketplace.order.domain.order import Order, Status
from marketplace.order.ports import StandingCharge
from souk.sdk import CallFailed, Transaction, acting_as, whole_number

AT_ONCE = 100
"""Charges on one page."""
MIN_AGE = 600
"""The least age of a charge, in seconds; the saga of a younger one still takes care of it."""
WHOLE_BOOK = 24 * 3_600.0
"""Seconds between two comparisons of the whole book; those in between compare only what is new."""
MOST_UNKNOWN = 10
"""The most charges of unknown orders in one run that are refunded; more of them mean that orders were lost."""

_log = logging.getLogger(__name__)


class Loss(Enum):
    """Why a charge belongs to no order."""

    UNKNOWN = "unknown"
    """The order, or that attempt of it, does not exist."""
    ENDED = "ended"
    """The attempt that the charge was made for has ended without it."""
    CANCELLED = "cancelled"
    """The order was cancelled."""


Found = Callable[[Loss], None]


@dataclass(frozen=True, slots=True)
class Lost:
    """A charge, and why it is lost."""

    charge: StandingCharge
    loss: Loss


def loss_of(order: Order, charge: StandingCharge) -> Loss | None:
    """Tells why a charge belongs to no order; None if it pays for the order or its saga still runs."""
    attempt = _attempt(order, charge)
    if not attempt:
        return Loss.UNKNOWN
    if charge.payment_id == order.payment_id:
        return Loss.CANCELLED if order.status is Status.CANCELLED else None
    under_way = order.status is Status.PENDING and attempt == order.attempt
    return None if under_way else Loss.ENDED


def _attempt(order: Order, charge: StandingCharge) -> int:
    """Returns the attempt in the key of a saga's step; 0 for any other key, and for an attempt that the order lacks."""
    order_id, _, rest = charge.key.partition(":")
    attempt = rest.partition(":")[0]
    return (whole_number(attempt, order.attempt) or 0) if order_id == charge.order_id else 0


@dataclass(slots=True)
class Progress:
    """The charge after which the next run begins, and when the last whole comparison began, in monotonic seconds.

    `still_open` counts the lost charges that are open, by kind.
    """

    after: str = ""
    began_at: float | None = None
    still_open: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FindLostCharges:
    """Compare from `progress` on; `found` is called for each new one; with `report_only` nothing is refunded."""

    found: Found
    report_only: bool = False
    progress: Progress = field(default_factory=Progress)


async def find_lost_charges(deps: Deps, command: FindLostCharges) -> None:
    """Compares what is new, and once a day the whole book; after a failed call it goes on at the next run."""
    now = deps.clock.monotonic()
    whole = command.progress.began_at is None or now - command.progress.began_at >= WHOLE_BOOK
    try:
        with acting_as("order"):
            await _compare(deps, command, whole=whole)
    except CallFailed as error:
        _log.warning("Payment's book cannot be compared with the orders now: %s", error)
    else:
        command.progress.began_at = now if whole else command.progress.began_at
    command.progress.still_open = await deps.database.read(deps.lost_charges.count_open, single=True)


async def _compare(deps: Deps, command: FindLostCharges, *, whole: bool) -> None:
    open_before = await deps.database.read(deps.lost_charges.open_ids, single=True) if whole else frozenset[str]()
    lost, end = await _go_through(deps, "" if whole else command.progress.after)
    await _close(deps, open_before - {each.charge.payment_id for each in lost})
    await _make_good(deps, command, lost)
    command.progress.after = end


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
        if await deps.orders.read_model.is_paid_by(tx, charge.order_id, charge.payment_id):
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
        await _found(deps, command, each, "is kept" if keep else "will be given back")
        if not keep:
            await deps.payments.cancel(each.charge.key, each.charge.order_id)
            await _close(deps, {each.charge.payment_id})


async def _found(deps: Deps, command: FindLostCharges, lost: Lost, what: str) -> None:
    charge, loss = lost.charge, lost.loss
    if await deps.database.run(lambda tx: deps.lost_charges.found(tx, charge.payment_id, loss.value)):
        command.found(loss)
        _log.warning(
            "no order stands behind charge %s of order %s (%s): it %s",
            *(charge.payment_id, charge.order_id, loss.value, what),
        )


async def _close(deps: Deps, payment_ids: Set[str]) -> None:
    if payment_ids:
        await deps.database.run(lambda tx: deps.lost_charges.close(tx, payment_ids))
