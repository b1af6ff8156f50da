"""RequestHeaderModifier and ResponseHeaderModifier."""

from souk.gateway.http.answers import Headers
from souk.gateway.routing.model import HeaderChange


def changed(headers: Headers, change: HeaderChange | None) -> Headers:
    """Gives the headers, whose names are in lower case, after a change. A header that is added keeps earlier ones."""
    if change is None:
        return headers
    gone = change.remove.union(name for name, _ in change.set)
    kept = [pair for pair in headers if pair[0] not in gone]
    return [*kept, *(pair for pair in (*change.set, *change.add) if pair[0] not in change.remove)]
