"""Background tasks of User: they rotate signing keys, and delete expired sessions, API keys and old failed attempts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from marketplace.user.deps import Deps
from marketplace.user.use_cases.signing_keys import rotate_keys

HOUSEKEEPING_INTERVAL = 60.0
"""Seconds between two runs."""


def tasks(deps: Deps) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Returns the tasks by name; each runs until it is cancelled."""
    return {"rotate keys and forget old sessions": partial(keep_house, deps)}


async def keep_house(deps: Deps) -> None:
    """Rotates keys, and deletes expired sessions, API keys and old failed attempts, until it is cancelled."""
    while True:
        await rotate_keys(deps)
        await deps.database.run(deps.sessions.forget_expired)
        await deps.database.run(deps.attempts.forget_old)
        await deps.database.run(deps.api_keys.forget_expired)
        await asyncio.sleep(HOUSEKEEPING_INTERVAL)
