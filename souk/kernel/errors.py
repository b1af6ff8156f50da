"""The tree of all errors of the platform.

    SoukError
    ├── DomainError           a service refuses; carries a reason that its contract lists
    │   ├── InvalidArgument   the request is not valid; lists what is wrong, field by field
    │   ├── Unauthenticated   the call has no valid token
    │   └── PermissionDenied  the caller may not do this
    ├── ConfigurationError    a setting, a directory or a port is wrong; reported in one line at the start
    │   ├── RoutesFileRefused the gateway: a routes file is wrong; one line for each thing that is
    │   ├── MeshPolicyRefused the mesh: a policy file is wrong; one line for each thing that is
    │   └── ExportRefused     the mesh: a target cannot say all of a policy; one line for each thing that it cannot
    ├── StoreError            the database failed
    │   ├── StoreUnavailable  the database is away, full or locked; it may work later
    │   ├── StoreCorrupt      the database's file is damaged
    │   └── ForeignAwait      a transaction waited for something other than its database
    ├── CallerTokenRefused    a call's token does not prove who calls: a fault of the system, not of the user
    ├── Overloaded            this process has reached a limit; it may work later
    ├── VersionConflict       an event stream has grown since its writer read it
    ├── UnknownEvent          an event stream has an event that only a newer version of the code knows
    ├── LeaseLost             another replica has taken over; the previous owner stops
    ├── RebuildHeld           a rebuild cannot begin anew, because another call works on it
    ├── PoisonedEvent         a consumer can never handle this event; it is to be parked
    ├── IllegalTransition     a state machine's table has no such transition: a mistake in the code
    ├── BrokerUnavailable     events: the broker does not answer or refuses; whether an event was stored is not known
    │   ├── NotDeclared       RabbitMQ: there is no such exchange or queue
    │   ├── NotPermitted      RabbitMQ: a rule of its own forbids it
    │   └── QueueMissing      SQS: there is no such queue or topic
    ├── Postponed             events: a consumer behind a broker is to get the event again
    ├── RegistryAway          discovery: the registry does not answer; the last known instances stay
    │   └── Unreached         there was no connection, so no request was sent
    ├── Problem               the gateway: a request ends with this problem document (RFC 9457)
    │   └── TokenRefused      a client gets no token; it ends with an error of OAuth 2.0 instead (RFC 6749)
    ├── ClientGone            the gateway: the client closed the connection before it was answered
    ├── BodyLost              the gateway: the rest of a streamed answer's body cannot come
    ├── SidecarRefused        the mesh: a sidecar's stream is not served, or not any more
    ├── ShareRejected         the mesh: a sidecar does not take the share of a canary
    ├── PageRefused           the console: what an operator asked of a page cannot be done
    ├── CertificateRefused    the mesh: an operator has refused this workload, so it gets no certificate
    ├── CertificateUnavailable  the mesh: no signing certificate is valid now; certificates in use stay
    ├── RotationRefused       the mesh: a root rotation is under way, so none can begin
    └── UpstreamFault         the gateway: an exchange with an HTTP server behind it failed

A DomainError becomes a gRPC status with google.rpc.ErrorInfo, and at the gateway
application/problem+json (RFC 9457). StoreUnavailable and Overloaded leave a service as UNAVAILABLE without their
text, CallerTokenRefused as UNAVAILABLE with what is wrong, every other error as UNKNOWN without its text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from google.protobuf.message import Message

INVALID_REQUEST = "INVALID_REQUEST"
UNAUTHENTICATED = "UNAUTHENTICATED"
FORBIDDEN = "FORBIDDEN"


class Outcome(Enum):
    """How a call ended. Retries, breakers and sagas depend on telling these four apart."""

    DONE = "done"
    """The callee answered."""
    REFUSED = "refused"
    """The callee answered with a reason that the method's contract lists; nothing was done."""
    NOT_SENT = "not sent"
    """The call never left the caller: breaker open, bulkhead full, no instance, connection never ready."""
    UNKNOWN = "unknown"
    """Anything else: the callee may or may not have done it."""


class SoukError(Exception):
    """The root of all errors of the platform."""


class DomainError(SoukError):
    """A service's refusal, with a stable `reason` that the method's contract lists.

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
    """What is wrong with one field. `field` is its path in the contract's names, as in `items[0].quantity`."""

    field: str
    detail: str


class InvalidArgument(DomainError):
    """The request breaks a rule of its contract, whatever the state of the system; `violations` lists what is wrong."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(INVALID_REQUEST, "; ".join(f"{v.field}: {v.detail}" for v in violations))
        self.violations = tuple(violations)


class Unauthenticated(DomainError):
    """The call needs an authenticated caller and has none."""

    def __init__(self, detail: str = "this call needs a valid bearer token") -> None:
        super().__init__(UNAUTHENTICATED, detail)


class PermissionDenied(DomainError):
    """The caller is known and may not do this."""

    def __init__(self, detail: str = "the caller may not do this") -> None:
        super().__init__(FORBIDDEN, detail)


class ConfigurationError(SoukError):
    """Something outside the code is wrong; the message is one line that says what to do."""


class StoreError(SoukError):
    """The database failed, or refused a statement."""


class StoreUnavailable(StoreError):
    """The database is away, full or locked; it may work later."""


class StoreCorrupt(StoreError):
    """The database's file is damaged."""


class ForeignAwait(StoreError):
    """A transaction waited for something other than its own database."""


class CallerTokenRefused(SoukError):
    """A caller token is forged, for another service, or too far from this process's clock; the message says which."""


class Overloaded(SoukError):
    """This process has reached a limit of memory, threads, or the length of a queue; it may work later."""


class VersionConflict(SoukError):
    """An event stream has grown since its writer read it: the writer must load it, fold it and decide again."""


class UnknownEvent(SoukError):
    """A stored event has a type, or a version of it, that this code does not know."""


class LeaseLost(SoukError):
    """The epoch of this lease is over; the holder of the next epoch goes on with the work."""


class PoisonedEvent(SoukError):
    """A consumer can never handle this event; the message says why. The event is parked, not sent again."""
