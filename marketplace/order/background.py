"""What Order does of itself, and what it counts meanwhile.

souk_order_lost_charges_total{kind}    charges in Payment's book that no order stands behind
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from marketplace.order.deps import Deps
from marketplace.order.settings import LostChargeSettings
from marketplace.order.use_cases.find_lost_charges import FindLostCharges, Loss, find_lost_charges
from souk.sdk import Collector, counter

CHECK_EVERY = 60.0
"""Seconds between two looks for charges without an order."""
ERASE_EVERY = 60.0
"""Seconds from one look for late addresses to the next."""


class LostCharges:
    """Counts them by kind; all kinds are there from the start."""

    def __init__(self) -> None:
        text = "Charges in Payment's book that no order stands behind."
        self._counter = counter("souk_order_lost_charges", text, ("kind",))
        for kind in Loss:
            self._counter.labels(kind.value)

    def count(self, loss: Loss) -> None:
        """One more."""
        self._counter.labels(loss.value).inc()

    @property
    def collectors(self) -> Sequence[Collector]:
        """What is to be registered."""
        return (self._counter,)


def tasks(deps: Deps, settings: LostChargeSettings, lost: LostCharges) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """The tasks by their names; each runs until it is cancelled."""
    command = FindLostCharges(lost.count, report_only=settings.report_only)
    return {
        "sagas": deps.runner.run,
        "erase late addresses": partial(erase_late_addresses, deps),
        "find lost charges": partial(compare_for_ever, deps, command),
    }


async def erase_late_addresses(deps: Deps) -> None:
    """Now and then, erases what an order on another connection kept while its buyer was erased.

    Where transactions run side by side, neither of the two sees what the other writes.
    """
    while True:
        await deps.database.run(deps.orders.erase_late, guarded=True)
        await asyncio.sleep(ERASE_EVERY)


async def compare_for_ever(deps: Deps, command: FindLostCharges) -> None:
    """Compares Payment's book with the orders, until it is cancelled."""
    while True:
        await asyncio.sleep(CHECK_EVERY)  # first: at a start there is enough to do
        await find_lost_charges(deps, command)
