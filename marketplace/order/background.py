"""Background tasks of Order, and the metric that they count.

souk_order_lost_charges_total{kind}    charges in Payment's book that belong to no order
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from marketplace.order.deps import Deps
from marketplace.order.settings import LostChargeSettings
from marketplace.order.use_cases.find_lost_charges import FindLostCharges, Loss, find_lost_charges
from souk.sdk import Collector, counter

CHECK_EVERY = 60.0
"""Seconds between two comparisons of Payment's charges with the orders."""
ERASE_EVERY = 60.0
"""Seconds between two deletions of late addresses."""


class LostCharges:
    """Counts charges without an order by kind; all kinds are exported from the start."""

    def __init__(self) -> None:
        text = "Charges in Payment's book that no order stands behind."
        self._counter = counter("souk_order_lost_charges", text, ("kind",))
        for kind in Loss:
            self._counter.labels(kind.value)

    def count(self, loss: Loss) -> None:
        """Counts one charge."""
        self._counter.labels(loss.value).inc()

    @property
    def collectors(self) -> Sequence[Collector]:
        """Returns the collectors to register."""
        return (self._counter,)


def tasks(deps: Deps, settings: LostChargeSettings, lost: LostCharges) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Returns the tasks by name; each runs until it is cancelled."""
    command = FindLostCharges(lost.count, report_only=settings.report_only)
    return {
        "sagas": deps.runner.run,
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
