"""The background tasks of Inventory: they expire reservations that were neither committed nor released, and end
prepared transactions in doubt."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from marketplace.inventory.deps import Deps
from marketplace.inventory.use_cases.expire_reservations import BATCH, expire_reservations
from souk.sdk import TwoPhaseResolver

EXPIRY_INTERVAL = 5.0
"""Seconds between two searches for lapsed reservations."""


def tasks(deps: Deps, resolver: TwoPhaseResolver) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Returns the tasks by name; each runs until it is cancelled."""
    return {"expire reservations": partial(expire_for_ever, deps), "two-phase commits in doubt": resolver.run}


async def expire_for_ever(deps: Deps) -> None:
    """Expires lapsed reservations, until it is cancelled."""
    while True:
        if await expire_reservations(deps) < BATCH:
            await asyncio.sleep(EXPIRY_INTERVAL)
