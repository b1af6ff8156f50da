"""Parks events that a consumer behind a broker cannot handle: in the outbox of the service that they come from.

So there is one list of what is parked, with and without a broker, and one way to send it again; and a consumer needs
no database.
"""

from collections.abc import Awaitable, Callable

import grpc.aio
from soukapi.v1 import event_pb2_grpc
from soukapi.v1.event_pb2 import Event, ParkRequest, ParkResponse

from souk.events import parked_store
from souk.events.causes import Cause
from souk.kernel.context import current
from souk.kernel.errors import PermissionDenied
from souk.store.database import Database

Park = Callable[[Event, Cause, int], Awaitable[None]]
"""Parks an event with the cause and the number of failed tries; raises when that is not recorded."""


class EventSourceServicer(event_pb2_grpc.EventSourceServicer):
    """Serves soukapi.v1.EventSource for the service `name`, which keeps its events in `database`."""

    def __init__(self, name: str, database: Database) -> None:
        self._name = name
        self._database = database

    async def Park(  # noqa: N802
        self, request: ParkRequest, context: grpc.aio.ServicerContext[ParkRequest, ParkResponse]
    ) -> ParkResponse:
        """Parks an event of this service for a consumer of the caller's."""
        caller, event = current().caller.service, request.event
        if event.source != self._name:
            raise PermissionDenied(f"{self._name!r} keeps its own events alone, not those of {event.source!r}")
        consumer = f"{caller}/{request.consumer}"
        cause = Cause(request.reason, request.digest, request.location)
        await self._database.run(lambda tx: parked_store.park(tx, event, consumer, cause, request.failures))
        return ParkResponse()


def parks_at_source(consumer: str, channel_of: Callable[[str], grpc.aio.Channel], timeout: float = 10.0) -> Park:
    """Makes the function that parks events for a consumer at the service that each comes from."""

    async def park(event: Event, cause: Cause, failures: int) -> None:
        request = ParkRequest(
            event=event,
            consumer=consumer,
            reason=cause.reason,
            failures=failures,
            digest=cause.digest,
            location=cause.location,
        )
        await event_pb2_grpc.EventSourceStub(channel_of(event.source)).Park(request, timeout=timeout)

    return park
