"""The one tree of errors.

    SoukError
    ├── DomainError           a service refuses; carries a reason that its contract lists
    │   ├── InvalidArgument   the request is wrong, field by field
    │   ├── Unauthenticated   nobody has said who is calling
    │   └── PermissionDenied  whoever is calling may not
    ├── ConfigurationError    a setting, a directory or a port is wrong; said in one line at start
    ├── StoreError            the database did not do it
    │   ├── StoreUnavailable  away, full or locked: may work later
    │   ├── StoreCorrupt      the file is not what it was
    │   └── ForeignAwait      a transaction waited for something that is not its database
    ├── CallerTokenRefused    a call's token does not prove who calls: a fault of the system, not of the user
    ├── Overloaded            too much at once in this process; may work later
    ├── VersionConflict       an event stream is further than its writer knew
    ├── LeaseLost             another replica has taken over; the loser stops
    ├── PoisonedEvent         a consumer can never handle this event; it is to be parked
    ├── IllegalTransition     a state machine's table has no such way: a mistake in the code
    ├── RegistryAway          discovery: the registry cannot be asked; the last known instances stay
    │   └── Unreached         there was no connection, so nothing was asked
    ├── Problem               the gateway: a request ends with this problem document (RFC 9457)
    └── ClientGone            the gateway: the client closed before its request was whole

A DomainError becomes a gRPC status with google.rpc.ErrorInfo, and at the gateway
application/problem+json (RFC 9457). StoreUnavailable, Overloaded and CallerTokenRefused leave a service as
UNAVAILABLE, everything else as UNKNOWN, without text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from google.protobuf.message import Message

INVALID_REQUEST = "INVALID_REQUEST"
UNAUTHENTICATED = "UNAUTHENTICATED"
FORBIDDEN = "FORBIDDEN"


class Outcome(Enum):
    """How a call ended; everything above a channel depends on telling these apart."""

    DONE = "done"
    """It answered."""
    REFUSED = "refused"
    """It answered with a reason that the method's contract lists; nothing was done."""
    NOT_SENT = "not sent"
    """It never left: breaker open, bulkhead full, no instance, connection never ready."""
    UNKNOWN = "unknown"
    """Anything else: it may or may not have happened."""


class SoukError(Exception):
    """The root of the tree."""


class DomainError(SoukError):
    """A refusal with a stable `reason` out of the method's contract.

    `details` are typed messages that travel with the status and appear as members of the problem
    document; `retry_after` is in seconds.
    """

    def __init__(self, reason: str, detail: str, *details: Message, retry_after: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.details = details
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field; `field` is its path in the contract's names, as in `items[0].quantity`."""

    field: str
    detail: str


class InvalidArgument(DomainError):
    """The request breaks a rule of its contract, whatever the state of the system; lists every violation."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(INVALID_REQUEST, "; ".join(f"{v.field}: {v.detail}" for v in violations))
        self.violations = tuple(violations)


class Unauthenticated(DomainError):
    """The call needs a caller and has none."""

    def __init__(self, detail: str = "this call needs a valid bearer token") -> None:
        super().__init__(UNAUTHENTICATED, detail)


class PermissionDenied(DomainError):
    """The caller is known and may not do this."""

    def __init__(self, detail: str = "the caller may not do this") -> None:
        super().__init__(FORBIDDEN, detail)


class ConfigurationError(SoukError):
    """Something outside the code is wrong; the message is one line that says what to do."""


class StoreError(SoukError):
    """The database did not do it."""


class StoreUnavailable(StoreError):
    """The database is away, full or locked; it may work later."""


class StoreCorrupt(StoreError):
    """The database's file is not what it was."""


class ForeignAwait(StoreError):
    """A transaction waited for something that is not its own database."""


class CallerTokenRefused(SoukError):
    """A caller token is forged, for somebody else, or too far from this process's clock; the message says which."""


class Overloaded(SoukError):
    """A limit of this process was met: memory, threads, or a queue that is long enough; it may work later."""


class VersionConflict(SoukError):
    """An event stream has grown since its writer read it: reload, fold, decide again."""


class LeaseLost(SoukError):
    """The epoch of this lease is over; whoever holds the next one goes on."""


class PoisonedEvent(SoukError):
    """This event can never be handled; the message says why. It is parked, not sent again."""
