"""The background tasks of Inventory: they expire reservations that were neither committed nor released, and end
prepared transactions in doubt.

souk_inventory_open_reservations    reservations that hold stock
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

from marketplace.inventory.deps import Deps
from marketplace.inventory.use_cases.expire_reservations import BATCH, expire_reservations
from souk.sdk import Collector, MeasuredAtScrape, TwoPhaseResolver

EXPIRY_INTERVAL = 5.0
"""Seconds between two searches for lapsed reservations."""


class OpenReservations:
    """Counts the reservations that hold stock, and shows what it counted last."""

    def __init__(self) -> None:
        self._open: int | None = None

    async def count(self, deps: Deps) -> None:
        """Counts them."""
        self._open = await deps.database.read(deps.stock.count_open)

    def collectors(self) -> Sequence[Collector]:
        """Returns the collectors to register."""
        text = "Reservations that hold stock, in the whole service; each process counts all of them."
        return (MeasuredAtScrape("souk_inventory_open_reservations", text, (), self._measured),)

    def _measured(self) -> Iterable[tuple[Mapping[str, str], float]]:
        return [] if self._open is None else [({}, self._open)]


def tasks(
    deps: Deps, resolver: TwoPhaseResolver, reservations: OpenReservations
) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Returns the tasks by name; each runs until it is cancelled."""
    return {
        "expire reservations": partial(expire_for_ever, deps, reservations),
        "two-phase commits in doubt": resolver.run,
    }


async def expire_for_ever(deps: Deps, reservations: OpenReservations) -> None:
    """Expires lapsed reservations and counts those that are open, until it is cancelled."""
    while True:
        if await expire_reservations(deps) < BATCH:
            await reservations.count(deps)
            await asyncio.sleep(EXPIRY_INTERVAL)
