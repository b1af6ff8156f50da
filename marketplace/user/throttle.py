"""How many wrong passwords an account takes: 10 in any 5 minutes. Pure; times are microseconds."""

import math
from collections.abc import Sequence

from souk.kernel.clock import MICROSECONDS

LIMIT = 10
WINDOW = 300 * MICROSECONDS


def seconds_to_wait(latest: Sequence[int], now: int) -> float | None:
    """None when a password may be tried; else whole seconds until then.

    `latest` holds the times of the last LIMIT failures, the newest first. Successes do not count.
    """
    if len(latest) < LIMIT or latest[LIMIT - 1] <= now - WINDOW:
        return None
    return float(math.ceil((latest[LIMIT - 1] + WINDOW - now) / MICROSECONDS))
