"""How far the consumers of events are behind, in outboxes and at the broker, and how many events each has parked."""

from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRequest, ShownPage
from souk.console.pages.sagas.runs import document

SLOW = 60.0
"""Seconds from which on a pending event is late."""


def events_page(control: ControlSocket) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        found = await control.lag()
        rows = [
            {
                "lag": one,
                "age": one.age if one.HasField("age") else None,
                "tone": "bad" if one.parked else "warn" if one.HasField("age") and one.age > SLOW else "good",
            }
            for one in found.consumers
        ]
        brokers = sorted(found.brokers, key=lambda one: (one.consumer, one.topic))
        values = {"rows": rows, "silent": found.silent, "parked": sum(one.parked for one in found.consumers)}
        values["brokers"] = [{"lag": one, "events": one.events if one.HasField("events") else None} for one in brokers]
        data = {"consumers": [document(one) for one in found.consumers], "silent": list(found.silent)}
        data["brokers"] = [
            {**document(one), "events": one.events if one.HasField("events") else None} for one in brokers
        ]
        return ShownPage("events.html", "Events", data, values)

    return ConsolePage("events", "Events", show, group="Work")
