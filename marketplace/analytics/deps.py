"""The dependencies of Analytics' use cases, put together once by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass, field

from marketplace.analytics.domain.facts import Fact
from marketplace.analytics.store.figures import FigureStore
from souk.sdk import Database


@dataclass(frozen=True, slots=True)
class Deps:
    """The database and the store; `counted` is called with each fact that was counted."""

    database: Database
    counted: Callable[[Fact], None] = lambda fact: None
    figures: FigureStore = field(default_factory=FigureStore)
