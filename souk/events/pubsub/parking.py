"""Parks events that a consumer behind a broker cannot handle: in the outbox of the service that they come from.

So there is one list of what is parked, with and without a broker, and one way to send it again; and a consumer needs
no database.
"""

from collections.abc import Awaitable, Callable

import grpc.aio
from soukapi.v1 import event_pb2_grpc
from soukapi.v1.event_pb2 import Event, ParkRequest

from souk.events.causes import Cause

Park = Callable[[Event, Cause, int], Awaitable[None]]
"""Parks an event with the cause and the number of failed tries; raises when that is not recorded."""


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
