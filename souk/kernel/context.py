"""The call context: deadline, caller, trace, idempotency key and releases, which travel with a call.

One context variable holds it, because generated stubs have no argument for it. A handler starts in a
fresh context that holds only what came with its call. Channels read the context to pass on deadline,
caller and trace.
"""

from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a call: a service, an end user, or both.

    `subject` is the end user's id; it is empty when the call is for no user. `service` is the service that
    makes the call, on behalf of the subject if there is one; the gateway counts as a service. `session` names
    the login that issued the subject's token, and `address` is the network address of the gateway's client.
    Both are empty when they are not known, such as in a service's background work. `api_key` is the identifier of the
    API key by which the caller came; the gateway alone knows it, it is not sent with a call.
    """

    subject: str = ""
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    service: str = ""
    session: str = ""
    address: str = ""
    api_key: str = ""

    def at(self, address: str) -> "Caller":
        """Returns the same caller at an address. (`dataclasses.replace` takes three times as long.)"""
        return Caller(self.subject, self.roles, self.scopes, self.service, self.session, address, self.api_key)


NOBODY = Caller()
MOST_RELEASES = 64
"""Services of which a request keeps the release."""


@dataclass(slots=True, unsafe_hash=True)  # not frozen: each call makes several, and that would triple what they cost
class CallContext:
    """The context of one call. Nobody changes it.

    `deadline` is a time of the monotonic clock, in seconds; None means that the call has none. `one_try` means
    that the calling code retries by itself, so channels do not retry. It is not sent with the call. `tracestate` is
    what other systems have said of the trace (W3C Trace Context), and goes on as it came.

    `releases` are the versions of services that have answered the request so far, by service; an empty one is the
    baseline. All contexts of a request share them, and calls add to them (`note_release`). The mark of a tester, which
    leads to the version of a canary, is among them under the name of its header.
    """

    deadline: float | None = None
    caller: Caller = NOBODY
    traceparent: str = ""
    idempotency_key: str = ""
    one_try: bool = False
    tracestate: str = ""
    releases: dict[str, str] = field(default_factory=dict, hash=False, compare=False, repr=False)

    def under(self, traceparent: str) -> "CallContext":
        """Returns the same context at another place of a trace. (`dataclasses.replace` takes five times as long.)"""
        mine = self.idempotency_key, self.one_try, self.tracestate, self.releases
        return CallContext(self.deadline, self.caller, traceparent, *mine)


_EMPTY = CallContext()
_current: ContextVar[CallContext] = ContextVar("souk_call", default=_EMPTY)


def current() -> CallContext:
    """Returns the context of the call that is being handled; outside of a call, an empty context."""
    return _current.get()


def note_release(service: str, version: str) -> None:
    """Notes which version of a service has answered the current request; the first one stays. Outside of a call there
    is nothing to note."""
    context = _current.get()
    if context is not _EMPTY and len(context.releases) < MOST_RELEASES:
        context.releases.setdefault(service, version)


class _Use:
    # Not a generator of contextlib: that costs three times as much, and one call enters several contexts.
    __slots__ = ("_context", "_token")

    def __init__(self, context: CallContext) -> None:
        self._context = context

    def __enter__(self) -> CallContext:
        self._token = _current.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def use(context: CallContext) -> AbstractContextManager[CallContext]:
    """Makes `context` the current context inside the block."""
    return _Use(context)


def acting_as(
    service: str, *, on_behalf_of: str = "", deadline: float | None = None, one_try: bool = False
) -> AbstractContextManager[CallContext]:
    """Makes the calls inside the block as a service, on behalf of a recorded user if `on_behalf_of` names one.

    It is for sagas, relays and other background work. Work that is itself repeated until it succeeds sets
    `one_try`. The trace and the idempotency key of the current context stay.
    """
    caller = Caller(subject=on_behalf_of, service=service)
    now = current()
    releases = {} if now is _EMPTY else now.releases
    return _Use(CallContext(deadline, caller, now.traceparent, now.idempotency_key, one_try, now.tracestate, releases))
