"""How an exchange with an upstream can fail, and which problem a client gets for it.

What failed is in the log; a client learns only the kind, because hosts and addresses are internal.
"""

from enum import Enum

from souk.gateway.http.answers import Headers
from souk.gateway.http.problem import Problem
from souk.kernel.errors import SoukError
from souk.rpc.call import Pairs
from souk.rpc.metadata import first
from souk.rpc.sidecar import CALLEE_FLAGS, FLAGS, never_sent

_OURS = b"souk-"
_UNREACHED = frozenset({"UH", "UF", "UO", "NC"})
"""Flags of a callee's sidecar that say that its application got nothing."""


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
    TOO_LARGE = "too large"
    """The answer is sound, and larger than it may be: no failure of the instance, and no better a second time."""
    FULL = "full"
    """All connections to the instance are in use."""
    UNREACHED = "unreached"
    """The sidecar of this process reached no instance, and has tried all that it may: nothing was sent."""


class UpstreamFault(SoukError):
    """An exchange with an instance of an upstream failed. Its text is for the log."""

    def __init__(self, kind: FaultKind, why: str) -> None:
        super().__init__(why)
        self.kind = kind

    def problem(self) -> Problem:
        """Makes the problem that a client gets."""
        if self.kind is FaultKind.LATE:
            return Problem(504, "UPSTREAM_TIMEOUT", "the server behind the gateway did not answer in time")
        if self.kind in (FaultKind.FULL, FaultKind.UNREACHED):
            return no_instance()
        if self.kind is FaultKind.TOO_LARGE:
            return Problem(502, "UPSTREAM_FAILED", "the answer of the server behind the gateway is too large")
        return Problem(502, "UPSTREAM_FAILED", "the server behind the gateway gave no valid answer")


def require_answered(headers: Headers) -> None:
    """Checks that an answer that came through a sidecar is not one that a sidecar gave by itself.

    Raises UpstreamFault for one of this process's, and of the callee's, which then has not reached its application.
    """
    given: Pairs = tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name.startswith(_OURS)
    )
    flags, behind = first(given, FLAGS), first(given, CALLEE_FLAGS)
    if behind and not flags:
        unreached = bool(set(behind.split(",")) & _UNREACHED)
        raise UpstreamFault(_kind(unreached), f"the sidecar of the callee answered by itself ({behind})")
    if flags:
        raise UpstreamFault(_kind(never_sent(given)), f"the sidecar answered by itself ({flags})")


def _kind(unreached: bool) -> FaultKind:
    return FaultKind.UNREACHED if unreached else FaultKind.BROKEN


def no_instance(retry_after: float | None = None) -> Problem:
    """Makes the problem of an upstream without an instance that can be asked now."""
    detail = "no server behind the gateway can take this request now"
    return Problem(503, "UPSTREAM_UNAVAILABLE", detail, retry_after=retry_after)
