"""What the HTTP answers of providers mean for a message. No I/O."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from souk.sdk import MICROSECONDS

LONGEST_WAIT = 3_600.0
"""The longest time that a provider can make messages wait, in seconds."""
_USUAL_WAIT = 5.0


def retry_after(headers: Mapping[str, str], now: int) -> float:
    """Returns how long a provider wants to be left alone, in seconds (RFC 9110, 10.2.3).

    `now` is in microseconds since 1970. Without the header, or with one that cannot be read, it is a usual time.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), LONGEST_WAIT)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now / MICROSECONDS
    except ValueError:
        return _USUAL_WAIT
    return min(max(seconds, 0.0), LONGEST_WAIT)
