"""What a client says about answers from a cache: the request directives of Cache-Control (RFC 9111, 5.2.1)."""

import math


def oldest_wanted(cache_control: str) -> float | None:
    """Returns how old an answer may be at most, in seconds; None if the cache must be left alone (`no-store`).

    `no-cache` is 0. A `max-age` that cannot be read is 0 too, so that the client gets nothing older than it wants.
    """
    oldest = math.inf
    for part in cache_control.lower().replace("\0", ",").split(","):
        name, _, value = part.strip().partition("=")
        if name == "no-store":
            return None
        if name == "no-cache":
            oldest = 0.0
        elif name == "max-age":
            oldest = min(oldest, _seconds(value.strip().strip('"')))
    return oldest


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 0.0
