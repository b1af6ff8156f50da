"""Reads the context of a call from its metadata, and checks that its caller may make it; for every transport.

| access | needs |
|---|---|
| ANYONE | nothing |
| CALLER | a subject, one of the method's roles and all of its scopes |
| INTERNAL | a service that the method names in its `callers` |
| not given (a foreign contract) | a service, if callers can be verified at all |

If the contract says which field of a request names the user it is about (`subject_field`), that user must be the
caller's subject, unless the calling service may act for others (`acts_for`).
"""

from collections.abc import Iterable

from google.protobuf.message import Message

from souk.descriptors.contract import ANY_SERVICE, Access, Method
from souk.kernel.clock import Clock
from souk.kernel.context import NOBODY, CallContext, Caller
from souk.kernel.errors import PermissionDenied, Unauthenticated
from souk.rpc.caller_token import CALLER_KEY, CallerTokens
from souk.rpc.metadata import IDEMPOTENCY_KEY, RELEASE, TRACEPARENT, TRACESTATE, read_releases
from souk.telemetry.traces import carried_state


class Admission:
    """Admits calls to a process. Without `tokens` no caller can be verified, and every caller is NOBODY."""

    def __init__(self, tokens: CallerTokens | None, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock

    def admit(
        self, method: Method, metadata: Iterable[tuple[str, str | bytes]] | None, remaining: float | None
    ) -> CallContext:
        """Returns the call context for the handler. A call without a deadline gets the contract's time-out.

        `remaining` is in seconds. Raises Unauthenticated, PermissionDenied, or CallerTokenRefused.
        """
        came = dict(metadata or ())
        caller = self._caller(came.get(CALLER_KEY), method.full_name)
        self._check(method, caller)
        return CallContext(
            deadline=self._clock.monotonic() + (method.policy.timeout if remaining is None else remaining),
            caller=caller,
            traceparent=_text(came.get(TRACEPARENT)),
            idempotency_key=_text(came.get(IDEMPOTENCY_KEY)),
            tracestate=carried_state(_text(came[TRACESTATE])) if TRACESTATE in came else "",
            releases=read_releases(_text(came[RELEASE])) if RELEASE in came else {},
        )

    def _caller(self, token: str | bytes | None, method: str) -> Caller:
        return self._tokens.verify(token, method) if self._tokens is not None and isinstance(token, str) else NOBODY

    def _check(self, method: Method, caller: Caller) -> None:
        policy = method.policy
        if policy.access is Access.ANYONE or (policy.access is Access.UNSPECIFIED and self._tokens is None):
            return
        if policy.access is Access.CALLER:
            if not caller.subject:
                raise Unauthenticated
        elif not caller.service:
            raise Unauthenticated("only services may call this")
        if policy.access is Access.INTERNAL and not _named(caller.service, policy.callers):
            raise PermissionDenied(f"the contract does not name {caller.service!r} among those who may call this")
        if not policy.scopes <= caller.scopes or (policy.roles and not policy.roles & caller.roles):
            raise PermissionDenied


def position_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> CallContext:
    """Returns the position in a trace of a call that is not admitted, and nothing else of it."""
    return CallContext(traceparent=_text(dict(metadata or ()).get(TRACEPARENT)))


def check_subject(method: Method, caller: Caller, request: Message) -> None:
    """Raises PermissionDenied when a request is about another user and its caller may not act for others."""
    policy = method.policy
    if not policy.subject_field or _named(caller.service, policy.acts_for):
        return
    if getattr(request, policy.subject_field) != caller.subject:
        raise PermissionDenied(f"{caller.service!r} may not act for another user than the one who asks")


def _named(service: str, names: frozenset[str]) -> bool:
    return service in names or ANY_SERVICE in names


def _text(value: str | bytes | None) -> str:
    return value if isinstance(value, str) else ""
