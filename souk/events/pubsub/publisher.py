"""Publishes the events of a service's outbox to a broker."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager

from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.broker import Broker, BrokerUnavailable
from souk.events.pubsub.topics import topic_of
from souk.events.sender import Route
from souk.telemetry.traces import is_plain
from souk.telemetry.tracing.messaging import message_attributes
from souk.telemetry.tracing.span import Span, SpanKind
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.work import UNTRACED, recorded

_MOST_LINKS = 128
"""The limit of OpenTelemetry for one span."""


class BrokerPublisher:
    """Hands events to `broker`, which keeps them for the groups of each topic; `groups` names these.

    One that hands over a batch waits for the broker at most `timeout` seconds.
    """

    def __init__(
        self,
        broker: Broker,
        groups: Mapping[str, Collection[str]],
        timeout: float = 30.0,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._broker = broker
        self._groups = groups
        self._timeout = timeout
        self._declared: set[str] = set()

    async def hand_over(self, route: Route, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        """Returns a result for each event that the broker has stored, or can never store."""
        by_topic: dict[str, list[Event]] = {}
        for event in events:
            by_topic.setdefault(topic_of(event.type), []).append(event)
        results: list[DeliveryResult] = []
        async with asyncio.timeout(self._timeout):
            for topic, run in by_topic.items():
                results += await self._publish(topic, run)
        return results

    async def _publish(self, topic: str, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        try:
            if topic not in self._declared:
                await self._require_fit()
                await self._broker.declare(topic, self._groups.get(topic, ()))
                self._declared.add(topic)
            with sending(self._tracer, topic, events, self._broker.system):
                return await self._broker.publish(topic, events)
        except BrokerUnavailable:
            # It may come back without its topics, or with other settings.
            self._declared.clear()
            raise

    async def _require_fit(self) -> None:
        """Raises BrokerUnavailable for a broker that, as it is set now, loses events or their order."""
        if why := (await self._broker.inspect()).unfit:
            raise BrokerUnavailable(f"the broker would lose events: {why}")


def sending(
    tracer: Tracer | None, topic: str, events: Sequence[Event], system: str
) -> AbstractContextManager[Span | None]:
    """Gives the block in which a relay sends a batch of events to a broker."""
    if tracer is None:
        return UNTRACED
    return recorded(
        tracer,
        f"send {topic}",
        SpanKind.CLIENT,
        {**message_attributes("send", topic, system), "messaging.batch.message_count": len(events)},
        parent="",
        links=[event.traceparent for event in events[:_MOST_LINKS] if is_plain(event.traceparent)],
    )
