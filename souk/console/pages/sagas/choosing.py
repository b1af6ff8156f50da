"""Which runs a list shows: the filters of `souk saga list`, as they are in the query of a page."""

from soukapi.v1 import sagas_pb2 as pb

from souk.admin.parked_filter import seconds_of
from souk.console.page import PageRefused, PageRequest
from souk.saga.operator.run_filter import STATES

MOST = 100
"""Runs of a service that a page shows; the database gives no more."""
VIEWS = ("open", "stuck", "running", "going back", "committed", "parked", "paused", "ended", "all")
ABOUT = {
    "open": "All that have not ended.",
    "stuck": "What needs a look: parked, paused, or beyond its deadline.",
    "running": "Before the pivot: they may still be turned back.",
    "going back": "What was done is being undone.",
    "committed": "Past the pivot: they only go forward.",
    "parked": "A step has failed too often. They wait for an operator.",
    "paused": "An operator has paused them.",
    "ended": "Completed or compensated.",
    "all": "Open and ended ones.",
}
FIELDS = ("service", "saga", "step", "reason", "text")


def wanted(asked: PageRequest) -> pb.ListSagaRunsRequest:
    """Reads the filters of a query. Raises PageRefused, with what is wrong."""
    state = asked.asked("state") or VIEWS[0]
    if state not in STATES:
        raise PageRefused(f"there is no state {state!r}; the states are {', '.join(VIEWS)}")
    older = asked.asked("older")
    seconds = seconds_of(older) if older else 0.0
    if seconds is None:
        raise PageRefused(f"{older!r} is no time: write 90s, 10m, 2h or 7d")
    request = pb.ListSagaRunsRequest(state=state, older=seconds, limit=MOST)
    for name in FIELDS:
        setattr(request, name, asked.asked(name))
    return request
