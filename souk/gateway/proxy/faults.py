"""How an exchange with an upstream can fail, and which problem a client gets for it.

What failed is in the log; a client learns only the kind, because hosts and addresses are internal.
"""

from enum import Enum

from souk.gateway.http.problem import Problem
from souk.kernel.errors import SoukError


class FaultKind(Enum):
    """What failed, as far as another try depends on it."""

    NOT_SENT = "not sent"
    """There was no connection, so no octet of the request has left."""
    STALE = "stale"
    """A kept connection ended before any octet of an answer came; the upstream may have closed it just before."""
    UNPROCESSED = "unprocessed"
    """The upstream says that it has not begun with the request (RFC 9113, 8.7): it can do no harm a second time."""
    BROKEN = "broken"
    """The connection ended too early, or what came was not a sound answer."""
    LATE = "late"
    """No answer came in time."""
    FULL = "full"
    """All connections to the instance are in use."""


class UpstreamFault(SoukError):
    """An exchange with an instance of an upstream failed. Its text is for the log."""

    def __init__(self, kind: FaultKind, why: str) -> None:
        super().__init__(why)
        self.kind = kind

    def problem(self) -> Problem:
        """Makes the problem that a client gets."""
        if self.kind is FaultKind.LATE:
            return Problem(504, "UPSTREAM_TIMEOUT", "the server behind the gateway did not answer in time")
        if self.kind is FaultKind.FULL:
            return no_instance()
        return Problem(502, "UPSTREAM_FAILED", "the server behind the gateway gave no valid answer")


def no_instance(retry_after: float | None = None) -> Problem:
    """Makes the problem of an upstream without an instance that can be asked now."""
    detail = "no server behind the gateway can take this request now"
    return Problem(503, "UPSTREAM_UNAVAILABLE", detail, retry_after=retry_after)
