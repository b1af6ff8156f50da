"""Adds to each call what travels with it: deadline, caller, trace, idempotency key and releases."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

from google.protobuf.descriptor_pool import Default

from souk.descriptors.contract import Method, contract_of
from souk.kernel.clock import Clock
from souk.kernel.context import CallContext, current
from souk.kernel.errors import ConfigurationError, ForeignAwait
from souk.kernel.transaction_guard import in_transaction
from souk.rpc.call import Call, Decode, Pairs
from souk.rpc.caller_token import CALLER_KEY, CallerTokens
from souk.rpc.metadata import (
    IDEMPOTENCY_KEY,
    RELEASE,
    RESERVED_PREFIX,
    TRACEPARENT,
    TRACESTATE,
    Given,
    InvalidMetadata,
    checked,
    first,
    releases_text,
)
from souk.telemetry.traces import child_header


class Outgoing:
    """Turns requests into calls, in the name of one service, to the service `audience`.

    Without `tokens` the calls carry no caller. An empty `audience` means the service of each method.
    With `spans` each try is to be recorded, and named to the callee, by a layer; without, each call gets an id here.
    """

    def __init__(self, tokens: CallerTokens | None, clock: Clock, audience: str = "", *, spans: bool = False) -> None:
        self._tokens = tokens
        self._spans = spans
        self._audience = audience
        self._clock = clock

    def call(
        self,
        method: Method,
        request: Any,
        encoded: bytes,
        timeout: float | None,
        metadata: Given,
        wait_for_ready: bool | None,
        decode: Decode | None = None,
    ) -> Call:
        """Makes the call for a request. `request` is None for a stream of requests.

        Its deadline is `timeout` seconds from now, by default the contract's time-out, but not later than the
        deadline of the call that is being handled. Its key is the one in `metadata`, else the one in the
        request's own field, else, where that field is empty, the key of the call that is being handled.

        Raises ForeignAwait inside a database transaction, and InvalidMetadata for metadata that gRPC does not carry.
        """
        if in_transaction():
            raise ForeignAwait(f"{method.full_name} was called inside a database transaction")
        context = current()
        given = _given(metadata)
        key, inherited = _key(method, request, given, context)
        limit = self._clock.monotonic() + (method.policy.timeout if timeout is None else timeout)
        return Call(
            method,
            encoded,
            given + self._own(method, context, given) + (((IDEMPOTENCY_KEY, key),) if inherited else ()),
            limit if context.deadline is None else min(limit, context.deadline),
            key,
            bool(wait_for_ready),
            decode=decode,
        )

    def _own(self, method: Method, context: CallContext, given: Pairs) -> Pairs:
        trace: Pairs = ()
        if not given or not first(given, TRACEPARENT):
            trace = ((TRACEPARENT, context.traceparent if self._spans else child_header(context.traceparent)),)
            if context.tracestate:
                trace = (*trace, (TRACESTATE, context.tracestate))
        if context.releases:
            trace = (*trace, (RELEASE, releases_text(context.releases)))
        if self._tokens is None:
            return trace
        token = self._tokens.sign(context.caller, self._audience or method.service, method.full_name)
        return (*trace, (CALLER_KEY, token))


def method_of(path: str) -> Method:
    """Finds the method of a gRPC path. Raises ConfigurationError when its generated code is not loaded."""
    service = path.rpartition("/")[0].lstrip("/")
    try:
        return contract_of(Default().FindServiceByName(service)).methods[path]
    except KeyError as error:
        raise ConfigurationError(f"no contract that is loaded has the method {path}") from error


@cache
def _reader(field: str) -> Callable[[Any], Any]:
    return attrgetter(field)


def _given(metadata: Given) -> Pairs:
    given = checked(metadata)
    for key, _ in given:
        if key.startswith(RESERVED_PREFIX):
            raise InvalidMetadata(f"the metadata key {key!r} is the platform's own")
    return given


def _key(method: Method, request: Any, given: Pairs, context: CallContext) -> tuple[str, bool]:
    """Returns the idempotency key, and whether it comes from the call being handled and has to be added."""
    if given and (explicit := first(given, IDEMPOTENCY_KEY)):
        return explicit, False
    field = method.policy.idempotency_field
    if not field or request is None:
        return "", False
    own = _reader(field)(request)
    return (own, False) if own else (context.idempotency_key, bool(context.idempotency_key))
