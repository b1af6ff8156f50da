"""The date of an answer, by which who asked compares the two clocks (RFC 9110, 6.6.1)."""

from email.utils import formatdate, parsedate_to_datetime

from grpc_health.v1 import health_pb2

from souk.descriptors.contract import Method, contract_of
from souk.kernel.clock import MICROSECONDS, Clock

DATE = "date"
"""The header of HTTP, and the key in the trailing metadata of gRPC."""
RESOLUTION = 1.0
"""Seconds; a date is rounded down to them."""
ASKED: Method = next(
    method
    for method in contract_of(health_pb2.DESCRIPTOR.services_by_name["Health"]).methods.values()
    if method.name == "Check"
)
"""What is called to be told a date: harmless, known to every server of gRPC; who refuses it has answered, too."""


class Dating:
    """Writes the date of a clock; anew only when it has changed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._written = ""

    def now(self) -> str:
        """The date of this moment."""
        second = self._clock.now() // MICROSECONDS
        if second != self._second:
            self._second, self._written = second, formatdate(second, usegmt=True)
        return self._written


def seconds_of(date: str) -> float | None:
    """Seconds since 1970 of a date; None for what is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
