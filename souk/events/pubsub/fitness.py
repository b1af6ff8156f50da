"""Whether a broker, as it is set, gives what the contracts of events need."""

from collections.abc import Iterable

from souk.descriptors.event_contract import EventContract
from souk.events.broker import Guarantees

_DAY = 86_400.0


def unfit_for(events: Iterable[EventContract], given: Guarantees) -> str:
    """Returns why these events must not go through a broker that gives this; an empty text if they may.

    Order per key and at least once are needed of every broker, whatever a contract says: consumers rely on both.
    """
    if given.unfit:
        return given.unfit
    for event in events:
        if event.retention > given.keeps:
            return (
                f"{event.name} is of use for {event.retention / _DAY:g} d, as its contract says, and this broker keeps "
                f"an event that a consumer has not handled for {given.keeps / _DAY:g} d"
            )
    return ""
