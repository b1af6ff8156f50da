"""Answers for the events that a service has published: parks what a consumer gives back, and reads out the history."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc.aio
from soukapi.v1 import event_pb2_grpc
from soukapi.v1.event_pb2 import Event, ParkRequest, ParkResponse, ReadHistoryRequest, ReadHistoryResponse

from souk.events import parked_store
from souk.events.causes import Cause
from souk.kernel.context import current
from souk.kernel.errors import DomainError, PermissionDenied
from souk.store.database import Database

NO_HISTORY = "NO_HISTORY"


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """All events of some aggregates, such as orders: `aggregates` is of how many, `after` the position behind them."""

    events: Sequence[Event]
    after: str
    aggregates: int


class History(Protocol):
    """The port to what a service keeps of its past, such as an event store.

    An event has the id, the type, the key and the payload with which it was published. Keys rise from event to event,
    and those of a key come in the order in which they were published. What is published while pages are read may be
    missing from them, so that the last page is reached however fast events come.
    """

    async def count(self) -> int:
        """Returns about how many aggregates there are."""
        ...

    async def page(self, after: str) -> HistoryPage | None:
        """Returns the events of the next aggregates behind a position, "" for the first; None behind the last."""
        ...


class EventSourceServicer(event_pb2_grpc.EventSourceServicer):
    """Serves soukapi.v1.EventSource for the service `name`, which keeps its events in `database`.

    `history` is None for a service that keeps nothing from which its events could be made again.
    """

    def __init__(self, name: str, database: Database, history: History | None = None) -> None:
        self._name = name
        self._database = database
        self._history = history

    async def Park(
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

    async def ReadHistory(
        self, request: ReadHistoryRequest, context: grpc.aio.ServicerContext[ReadHistoryRequest, ReadHistoryResponse]
    ) -> ReadHistoryResponse:
        """Reads the next part of the history. Raises NO_HISTORY for a service that keeps none."""
        if self._history is None:
            raise DomainError(NO_HISTORY, f"{self._name!r} keeps no history of its events")
        total = None if request.after else await self._history.count()
        page = await self._history.page(request.after)
        if page is None:
            return ReadHistoryResponse(total=total)
        events = [event for event in page.events if not request.types or event.type in request.types]
        return ReadHistoryResponse(events=events, after=page.after, aggregates=page.aggregates, total=total)
