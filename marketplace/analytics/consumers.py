"""The consumer of what became of orders."""

from collections.abc import Mapping
from functools import partial

from marketplace.analytics.deps import Deps
from marketplace.analytics.messages import FACTS, to_fact
from marketplace.analytics.use_cases.count_fact import CountFact, count_fact
from souk.sdk import Event, Handler, Subscription

FIGURES = "figures"
SUBSCRIPTIONS = (Subscription(FIGURES, tuple(FACTS)),)


def consumers(deps: Deps) -> Mapping[str, Handler]:
    """Returns the handlers by the names of their consumers."""
    return {FIGURES: partial(count_event, deps)}


async def count_event(deps: Deps, event: Event) -> None:
    """Counts an event; raises PoisonedEvent for one that cannot be read."""
    await count_fact(deps, CountFact(to_fact(event.type, event.payload)))
