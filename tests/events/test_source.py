"""What a service answers about the events that it has published."""

from typing import Any, cast

import pytest
from soukapi.v1.event_pb2 import Event, ReadHistoryRequest, ReadHistoryResponse

from souk.events.source import EventSourceServicer, HistoryPage
from souk.kernel.errors import DomainError


class ThreePages:
    """A history of three aggregates, one a page, each with an event of both types."""

    def __init__(self) -> None:
        self.counted = 0

    async def count(self) -> int:
        self.counted += 1
        return 3

    async def page(self, after: str) -> HistoryPage | None:
        number = int(after or 0)
        if number == 3:
            return None
        events = [Event(id=f"EVT-{number}-{kind}", type=f"a.v1.{kind}", key=str(number)) for kind in ("Made", "Sold")]
        return HistoryPage(events, str(number + 1), 1)


async def read(servicer: EventSourceServicer, after: str = "", *types: str) -> ReadHistoryResponse:
    return await servicer.ReadHistory(ReadHistoryRequest(after=after, types=types), cast(Any, None))


async def test_the_history_is_read_part_by_part() -> None:
    history = ThreePages()
    servicer, found, part = EventSourceServicer("a", cast(Any, None), history), list[str](), None
    while part is None or part.HasField("after"):
        part = await read(servicer, "" if part is None else part.after)
        found += [event.id for event in part.events]
    assert found == [f"EVT-{number}-{kind}" for number in range(3) for kind in ("Made", "Sold")]
    assert history.counted == 1


async def test_the_first_part_says_how_many_there_are() -> None:
    servicer = EventSourceServicer("a", cast(Any, None), ThreePages())
    first, second = await read(servicer), await read(servicer, "1")
    assert (first.total, first.aggregates, second.HasField("total")) == (3, 1, False)


async def test_only_the_types_that_are_asked_for() -> None:
    servicer = EventSourceServicer("a", cast(Any, None), ThreePages())
    assert [event.id for event in (await read(servicer, "1", "a.v1.Sold")).events] == ["EVT-1-Sold"]
    part = await read(servicer, "1", "a.v1.Lost")
    assert (list(part.events), part.after, part.aggregates) == ([], "2", 1)  # and still not the last


async def test_a_service_without_a_history_says_so() -> None:
    with pytest.raises(DomainError, match="keeps no history") as refused:
        await read(EventSourceServicer("a", cast(Any, None)))
    assert refused.value.reason == "NO_HISTORY"
