"""What travels with a call: deadline, caller, trace, idempotency key.

It is held in one context variable, because generated stubs have no argument for it. A handler
starts in a fresh context that holds only what came with its call; channels read it to pass on
deadline, caller and trace.
"""

from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking.

    `subject` is the end user's id, empty for nobody. `service` is the service that makes the call,
    on behalf of the subject if there is one; the gateway counts as a service. `session` names the login
    that the subject's token came of, `address` is where the client of the gateway is; both are empty
    where nobody knows, such as in work of a service's own.
    """

    subject: str = ""
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    service: str = ""
    session: str = ""
    address: str = ""


NOBODY = Caller()


@dataclass(frozen=True, slots=True)
class CallContext:
    """`deadline` is a point on the monotonic clock, in seconds; None means none was given.

    `one_try`: whoever makes the call tries again by himself, so channels do not. It does not travel.
    """

    deadline: float | None = None
    caller: Caller = NOBODY
    traceparent: str = ""
    idempotency_key: str = ""
    one_try: bool = False


_EMPTY = CallContext()
_current: ContextVar[CallContext] = ContextVar("souk_call", default=_EMPTY)


def current() -> CallContext:
    """The context of the call that is being handled; an empty one outside of any."""
    return _current.get()


class _Use:
    # Not a generator of contextlib, which costs three times as much, several times a call.
    __slots__ = ("_context", "_token")

    def __init__(self, context: CallContext) -> None:
        self._context = context

    def __enter__(self) -> CallContext:
        self._token = _current.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def use(context: CallContext) -> AbstractContextManager[CallContext]:
    """Makes `context` the current one inside the block."""
    return _Use(context)


def acting_as(
    service: str, *, on_behalf_of: str = "", deadline: float | None = None, one_try: bool = False
) -> AbstractContextManager[CallContext]:
    """Makes calls as a service, on behalf of a recorded user: for sagas, relays and other own work.

    Work that is repeated until it is done asks for `one_try`.
    """
    caller = Caller(subject=on_behalf_of, service=service)
    now = current()
    return _Use(CallContext(deadline, caller, now.traceparent, now.idempotency_key, one_try))
