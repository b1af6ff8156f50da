"""The date in an answer, by which the caller compares its clock with the callee's (RFC 9110, 6.6.1)."""

from email.utils import formatdate, parsedate_to_datetime

from grpc_health.v1 import health_pb2

from souk.descriptors.contract import Method, contract_of
from souk.kernel.clock import MICROSECONDS, Clock

DATE = "date"
"""The name of the date: as a header in HTTP, and as a key in the trailing metadata of gRPC."""
RESOLUTION = 1.0
"""The resolution of a date in seconds: it is rounded down."""
ASKED: Method = next(
    method
    for method in contract_of(health_pb2.DESCRIPTOR.services_by_name["Health"]).methods.values()
    if method.name == "Check"
)
"""The method that is called for a date: it is harmless, every gRPC server knows it, and a refusal answers as well."""


class Dating:
    """Formats the date of a clock, once for each second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._written = ""

    def now(self) -> str:
        """Returns the present date in the format of HTTP."""
        second = self._clock.now() // MICROSECONDS
        if second != self._second:
            self._second, self._written = second, formatdate(second, usegmt=True)
        return self._written


def seconds_of(date: str) -> float | None:
    """Returns a date as seconds since 1970; None for a text that is no date."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
