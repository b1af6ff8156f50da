"""Background tasks of Order, and their metrics.

souk_order_lost_charges_total{kind}    charges that were found in Payment's book and belong to no order
souk_order_open_lost_charges{kind}     those of them that still stand; the same in every replica
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from marketplace.order.deps import Deps
from marketplace.order.use_cases.find_lost_charges import FindLostCharges, Loss, Progress, find_lost_charges
from souk.sdk import Collector, MeasuredAtScrape, counter

CHECK_EVERY = 60.0
"""Seconds between two comparisons of Payment's charges with the orders."""
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


def tasks(deps: Deps, command: FindLostCharges) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Returns the tasks by name; each runs until it is cancelled."""
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
