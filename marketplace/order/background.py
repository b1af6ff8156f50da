"""Background tasks of Order, and their metrics.

souk_order_lost_charges_total{kind}        charges that were found in Payment's book and belong to no order
souk_order_open_lost_charges{kind}         those of them that still stand; the same in every replica
souk_order_read_model_differences_total    orders whose row was not what their events make it, found after a change
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from marketplace.order.deps import Deps
from marketplace.order.use_cases.audit_orders import audit_orders
from marketplace.order.use_cases.find_lost_charges import FindLostCharges, Loss, Progress, find_lost_charges
from souk.sdk import Collector, EventFollower, MeasuredAtScrape, counter

CHECK_EVERY = 60.0
"""Seconds between two comparisons of Payment's charges with the orders."""
AUDIT_EVERY = 5.0
"""Seconds between two looks for orders that have changed, to compare them with their events."""
AUDIT_REST = 9.0
"""Seconds of rest for each second of comparing, while there are more: it takes a tenth of the process at most."""
ERASE_EVERY = 60.0
"""Seconds between two deletions of late addresses."""


class LostCharges:
    """Counts charges without an order by kind; all kinds are exported from the start."""

    def __init__(self) -> None:
        text = "Charges that were found in Payment's book and no order stands behind, each once."
        self._counter = counter("souk_order_lost_charges", text, ("kind",))
        for kind in Loss:
            self._counter.labels(kind.value)

    def count(self, loss: Loss) -> None:
        """Counts one charge."""
        self._counter.labels(loss.value).inc()

    def collectors(self, progress: Progress) -> Sequence[Collector]:
        """Returns the collectors to register; `progress` has what the comparison counted last."""
        text = "Charges that no order stands behind and that are not given back."
        still_open = MeasuredAtScrape(
            "souk_order_open_lost_charges",
            text,
            ("kind",),
            lambda: [({"kind": kind.value}, progress.still_open.get(kind.value, 0)) for kind in Loss],
        )
        return (self._counter, still_open)


class DifferingOrders:
    """Counts orders whose row in the read model is not what their events make it."""

    def __init__(self) -> None:
        text = "Orders whose row in the read model was not what their events make it, found after a change."
        self._counter = counter("souk_order_read_model_differences", text, ())

    def count(self, orders: int) -> None:
        """Counts so many orders."""
        self._counter.inc(orders)

    def collectors(self) -> Sequence[Collector]:
        """Returns the collectors to register."""
        return (self._counter,)


def tasks(
    deps: Deps, command: FindLostCharges, differing: DifferingOrders
) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Returns the tasks by name; each runs until it is cancelled."""
    audit = EventFollower("audit", deps.database, partial(audit_orders, deps, differing.count))
    two_phase = {} if deps.two_phase is None else {"two-phase commits": deps.two_phase.run}
    return {
        "audit": partial(audit.run, AUDIT_EVERY, AUDIT_REST),
        "sagas": deps.runner.run,
        **two_phase,
        "erase late addresses": partial(erase_late_addresses, deps),
        "find lost charges": partial(compare_for_ever, deps, command),
    }


async def erase_late_addresses(deps: Deps) -> None:
    """Regularly deletes addresses that an order stored while its buyer was being erased, until it is cancelled.

    Where transactions run concurrently, the order and the erasure do not see what the other writes.
    """
    while True:
        await deps.database.run(deps.orders.erase_late, guarded=True)
        await asyncio.sleep(ERASE_EVERY)


async def compare_for_ever(deps: Deps, command: FindLostCharges) -> None:
    """Compares Payment's book with the orders, until it is cancelled."""
    while True:
        await asyncio.sleep(CHECK_EVERY)  # sleep first: there is enough to do at a start
        await find_lost_charges(deps, command)
