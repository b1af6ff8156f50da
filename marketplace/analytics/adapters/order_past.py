"""The past of orders, from the history of Order's events."""

import grpc.aio
from soukapi.v1.event_pb2 import ReadHistoryRequest, ReadHistoryResponse
from soukapi.v1.event_pb2_grpc import EventSourceStub

from marketplace.analytics.messages import FACTS, to_fact
from marketplace.analytics.ports import PastFacts


class OrderPast:
    """Implements the port Past over the contract `soukapi.v1.EventSource` of Order."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._source = EventSourceStub(channel)

    async def count(self) -> int:
        return (await self._read("")).total

    async def page(self, after: str) -> PastFacts | None:
        part = await self._read(after)
        if not part.HasField("after"):
            return None
        facts = [to_fact(event.type, event.payload) for event in part.events]
        return PastFacts(facts, part.after, part.aggregates)

    async def _read(self, after: str) -> ReadHistoryResponse:
        return await self._source.ReadHistory(ReadHistoryRequest(after=after, types=FACTS))
