"""The port of upstreams: what a rule sends to them. The gateway's proxy implements it."""

from dataclasses import dataclass
from typing import Protocol

from souk.gateway.http.answers import Answer, Headers
from souk.gateway.http.request import Request
from souk.gateway.routing.model import RetryPolicy, Timeouts
from souk.kernel.context import NOBODY, Caller


@dataclass(slots=True)  # not frozen: each proxied request makes one, and that would double what it costs
class OutgoingRequest:
    """What an upstream is asked for; nobody changes it. `target` is the path and the query; `headers` have a `host`."""

    method: str
    target: bytes
    headers: Headers
    timeouts: Timeouts
    retry: RetryPolicy | None = None
    max_body: int | None = None
    mirrors: "tuple[Target, ...]" = ()
    caller: Caller = NOBODY


class Target(Protocol):
    """An upstream."""

    @property
    def vouches(self) -> bool:
        """Whether the upstream learns who calls, by a token that only it accepts."""
        ...

    async def forward(self, request: Request, outgoing: OutgoingRequest) -> Answer:
        """Sends the request with its body, and gives the answer as it comes; `mirrors` get a copy.

        Raises Problem: 502 when the upstream fails, 503 when it has no instance, 504 when it is late, 413.
        """
        ...

    def copy(self, request: Request, outgoing: OutgoingRequest, body: bytes) -> None:
        """Sends a copy of a request some time soon, and throws the answer away. It never waits and never fails."""
        ...
