"""Makes the gateway's calls of services, over the channel to each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import grpc.aio
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from souk.descriptors.contract import Contract, Method, Policy
from souk.descriptors.protojson.writer import writer_of
from souk.gateway.auth.identity import ANONYMOUS
from souk.gateway.http.answers import Headers
from souk.gateway.http.problem import REPLAYED_HEADER, Problem, forbidden, problem_of
from souk.kernel.clock import Clock
from souk.kernel.context import CallContext, use
from souk.kernel.errors import ConfigurationError
from souk.rpc.call import Pairs, failure_of
from souk.rpc.client.channel import UnaryUnary
from souk.rpc.metadata import REPLAYED, first

ChannelOf = Callable[[str], grpc.aio.Channel]


class Backend:
    """Makes calls with the contract's time-out and with a caller. A call that fails raises a Problem.

    The callable of each method is made once and kept. The context of a call says whether the channel may retry it.
    """

    def __init__(self, contracts: Mapping[str, Contract], channel_of: ChannelOf, clock: Clock) -> None:
        self._methods = {name: method for contract in contracts.values() for name, method in contract.methods.items()}
        self._channel_of, self._clock = channel_of, clock
        self._stubs: dict[str, Any] = {}

    def method(self, full_name: str) -> Method:
        """Returns a method by its full name. Raises ConfigurationError when no contract has it."""
        if full_name not in self._methods:
            raise ConfigurationError(f"no service of this system has the method {full_name}")
        return self._methods[full_name]

    async def call(self, method: Method, request: Message, context: CallContext) -> tuple[Message, Headers]:
        """Makes a call; returns the reply, and the headers that its trailing metadata gives. Raises Problem."""
        stub = self._stubs.get(method.full_name) or self._stub(method)
        with use(context):
            try:
                answered = stub.answered if isinstance(stub, UnaryUnary) else partial(_answered, stub)
                reply, trailing = await answered(request, method.policy.timeout)
            except grpc.aio.AioRpcError as error:
                raise problem_of(failure_of(error), method) from error
        return reply, _shown(method.policy, trailing) if trailing else []

    def stream(self, method: Method, request: Message | None, context: CallContext) -> Any:
        """Begins a call with a stream in it, and returns the call; for a stream of requests, `request` is None."""
        stub = self._stubs.get(method.full_name) or self._stub(method)
        with use(context):
            return stub(request, timeout=method.policy.timeout)

    def _stub(self, method: Method) -> Any:
        channel = self._channel_of(method.service)
        make: Callable[..., Any] = channel.unary_unary
        if not method.unary:
            make = channel.stream_unary if method.client_streaming else channel.unary_stream
        stub = self._stubs[method.full_name] = make(
            method.full_name,
            request_serializer=method.input.SerializeToString,
            response_deserializer=method.output.FromString,
        )
        return stub

    def _own(self, method: Method, traceparent: str = "") -> CallContext:
        """Returns the context for a call that the gateway makes for itself."""
        return CallContext(self._clock.monotonic() + method.policy.timeout, ANONYMOUS, traceparent)

    async def signing_keys(self, full_name: str) -> Mapping[str, Any]:
        """Calls a method and returns its JSON Web Key Set. Raises Problem."""
        method = self.method(full_name)
        reply, _ = await self.call(method, method.input(), self._own(method))
        keys: Mapping[str, Any] = writer_of(cast(Descriptor, method.output.DESCRIPTOR))(reply)
        return keys

    async def api_key(self, full_name: str, key_id: str, digest: bytes) -> tuple[str, frozenset[str]] | None:
        """Returns whose an API key is and what it may call; None if it is not good. Raises Problem."""
        method = self.method(full_name)
        try:
            reply, _ = await self.call(method, method.input(id=key_id, digest=digest), self._own(method))
        except Problem as problem:
            if problem.status == 404:
                return None
            raise
        return reply.user_id, frozenset(reply.scopes)  # type: ignore[attr-defined]  # the method answers with both

    async def client_token(
        self, full_name: str, key_id: str, digest: bytes, scopes: Sequence[str], address: str
    ) -> tuple[str, int, Sequence[str]]:
        """Returns an access token for an API key, its lifetime in seconds and its scopes. Raises Problem."""
        method = self.method(full_name)
        context = replace(self._own(method), caller=replace(ANONYMOUS, address=address))
        reply, _ = await self.call(method, method.input(id=key_id, digest=digest, scopes=scopes), context)
        found: Any = reply  # the method answers with these three
        return found.access_token, found.expires_in, found.scopes

    async def roles(self, full_name: str, subject: str, traceparent: str) -> frozenset[str]:
        """Returns the present roles of a user. Raises Problem: 403 when the user no longer exists."""
        method = self.method(full_name)
        try:
            reply, _ = await self.call(method, method.input(user_id=subject), self._own(method, traceparent))
        except Problem as problem:
            raise forbidden("no account", subject) if problem.status == 404 else problem from None
        return frozenset(reply.roles)  # type: ignore[attr-defined]  # the method answers with roles


async def _answered(stub: Any, request: Message, timeout: float) -> tuple[Message, Pairs]:
    """Makes a call by a stub of any kind; returns the reply and its trailing metadata."""
    call = stub(request, timeout=timeout)
    return await call, tuple(await call.trailing_metadata())


def _shown(policy: Policy, pairs: Pairs) -> Headers:
    shown = [REPLAYED_HEADER] if policy.idempotency_field and REPLAYED in pairs else []
    given = ((name.lower(), first(pairs, name.lower())) for name in policy.response_headers)
    return [*shown, *((name.encode(), value.encode()) for name, value in given if value)]
