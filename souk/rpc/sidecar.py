"""The transport to a service through this process's own sidecar, a proxy that finds the instances, tries calls again,
limits and balances them.

The sidecar knows the callee by its name, as `:authority`. It answers by itself when it reaches nobody, and such an
answer says why and after how many tries, so that it is still known whether the call was sent.
"""

import re

import grpc

from souk.kernel.clock import Clock
from souk.kernel.context import current, note_release
from souk.kernel.errors import Outcome
from souk.rpc.call import Call, CallFailed, Pairs, Reply, Status, not_sent
from souk.rpc.grpc.stream import GrpcStream
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.metadata import first
from souk.rpc.transport import Stream

FLAGS, ATTEMPTS = "souk-response-flags", "souk-attempts"
"""Keys of the metadata of an answer that a sidecar gives by itself: why, in the letters of Envoy's response flags, and
how many tries there were."""
SUBJECT = "souk-subject"
"""The key under which a sidecar, and nobody beyond it, is told for which user a call is made."""
CALLEE_FLAGS = "souk-callee-flags"
"""The header of an answer over HTTP that the callee's sidecar gives by itself: why, as in FLAGS."""
CLIENT_HOST = "souk-client-host"
"""The header of a request over HTTP by which a sidecar, and nobody beyond the callee's, learns the host that the client
asked for: in the request's own `Host` stands the callee."""
TRIES = "souk-tries"
"""The header of a request over HTTP whose sender itself tries again what was lost; its sidecar then does not."""
SERVED_BY = "souk-served-by"
"""The key of the metadata of an answer that says which release has given it, as `service=version`."""
SIDECARS_OWN = (FLAGS, ATTEMPTS, SERVED_BY)
"""What only the caller's sidecar says of an answer; the callee's lets none of it through from its application."""

_NOT_SENT = frozenset({"UH", "UF", "UO", "NR", "NC"})
"""No healthy instance, no connection, a limit of the sidecar's own, no route, no cluster: each before anything is sent.

Source: Envoy's documentation, "Access logging", %RESPONSE_FLAGS%.
"""
_SUBJECT = re.compile(r"[\x21-\x7e]{1,200}")
_GAVE_UP = "URX"
"""All tries were made; it says nothing about the last one."""


class SidecarTransport:
    """A transport to the service `service` through the sidecar that listens at `address`."""

    def __init__(self, service: str, address: str, clock: Clock) -> None:
        self._grpc = GrpcTransport(lambda: (address,), clock, service=service, authority=service)

    async def unary(self, call: Call) -> Reply:
        """Makes a unary call; an `Invoke`."""
        try:
            reply = await self._grpc.unary(_with_subject(call))
        except CallFailed as error:
            metadata = (*(error.initial_metadata() or ()), *(error.trailing_metadata() or ()))
            if error.outcome is Outcome.UNKNOWN and never_sent(metadata):
                raise not_sent(error.detail, error.code()) from None
            _note_release(metadata)
            raise
        _note_release(reply.initial_metadata)
        return reply

    def stream(self, call: Call, *, one_request: bool) -> Stream:
        """Begins a call with a stream in it."""
        return _SidecarStream(self._grpc, _with_subject(call), one_request)

    async def ready(self) -> None:
        """Waits until the sidecar is connected."""
        await self._grpc.ready()

    async def close(self, grace: float | None = None) -> None:
        """Sends no further calls; running ones may end within `grace` seconds."""
        await self._grpc.close(grace)


class _SidecarStream(GrpcStream):
    def _settle(self, status: Status) -> None:
        if status.code is not grpc.StatusCode.OK and never_sent(status.trailing):
            status = status._replace(sent=False)
        super()._settle(status)


def _with_subject(call: Call) -> Call:
    """Tells the sidecar for which user a call is, whose routes may send it to a canary."""
    subject = current().caller.subject
    return call._replace(metadata=(*call.metadata, (SUBJECT, subject))) if _SUBJECT.fullmatch(subject) else call


def _note_release(metadata: Pairs) -> None:
    """Notes which release has answered, so that what follows in the request goes to the same."""
    if found := first(metadata, SERVED_BY):
        service, _, version = found.partition("=")
        note_release(service, version)


def never_sent(metadata: Pairs) -> bool:
    """Tells from the metadata of an answer whether it is a sidecar's own that proves that nothing was sent.

    Before a first try it does, whatever the reason, such as that the sidecar has no memory left. After a second one it
    does not: only the last one is known.
    """
    if first(metadata, ATTEMPTS) == "0":
        return True
    flags = set(first(metadata, FLAGS).split(",")) - {_GAVE_UP}
    attempts = first(metadata, ATTEMPTS)
    return flags <= _NOT_SENT and (not attempts.isdigit() or int(attempts) <= 1)
