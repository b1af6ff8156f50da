"""Ends what an earlier supervisor left behind when it was killed."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from souk.admin.process_record import Started, surviving
from souk.admin.process_status import ENGINE

SERVICES_LIMIT = 2.0
"""Seconds for services: what they answered is on disk, so nothing is lost by not waiting longer."""
ENGINES_LIMIT = 20.0
"""Seconds for engines, which write down what they have in memory."""
_POLL = 0.02


async def end(left: Sequence[Started]) -> None:
    """Asks them to end, services before the engines they stand on; kills what does not."""
    engines = [one for one in left if one.kind == ENGINE]
    await _end_all([one for one in left if one.kind != ENGINE], SERVICES_LIMIT)
    await _end_all(engines, ENGINES_LIMIT)


async def _end_all(left: list[Started], limit: float) -> None:
    for one in left:
        _send(one, one.signal)
    loop = asyncio.get_running_loop()
    until = loop.time() + limit
    while remaining := surviving(left):
        if loop.time() > until:
            for one in remaining:
                _send(one, signal.SIGKILL)
            until += limit
        await asyncio.sleep(_POLL)


def _send(one: Started, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(one.process.pid, number)
