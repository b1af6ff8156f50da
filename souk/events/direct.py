"""Delivery without a broker: the relay calls the consumer's service over soukapi.v1.EventSink.

The same code serves within a process and between processes; only the channel differs.
"""

from collections.abc import Callable, Sequence

import grpc.aio
from soukapi.v1.event_pb2 import DeliverRequest, DeliveryResult, Event
from soukapi.v1.event_pb2_grpc import EventSinkStub

from souk.events.sender import Route
from souk.kernel.clock import Clock
from souk.kernel.context import acting_as


class DirectSender:
    """Calls consumers as the service `source`, each call within `timeout` seconds."""

    def __init__(
        self, source: str, channel_of: Callable[[str], grpc.aio.Channel], clock: Clock, *, timeout: float = 30.0
    ) -> None:
        self._source = source
        self._channel_of = channel_of
        self._clock = clock
        self._timeout = timeout

    async def hand_over(self, route: Route, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        """Sends events in one call of `Deliver`; each result says how the handler ended for that event."""
        request = DeliverRequest(consumer=route.consumer, events=events)
        with acting_as(self._source, deadline=self._clock.monotonic() + self._timeout, one_try=True):
            response = await EventSinkStub(self._channel_of(route.service)).Deliver(request, timeout=self._timeout)
        return response.results
