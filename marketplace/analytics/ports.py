"""What Analytics needs of others, in its own words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from marketplace.analytics.domain.facts import Fact


@dataclass(frozen=True, slots=True)
class PastFacts:
    """The facts of some orders: `orders` is how many, `after` the position behind them. Ids of orders rise."""

    facts: Sequence[Fact]
    after: str
    orders: int


class Past(Protocol):
    """All facts there ever were, as the service has them in which they happened.

    Facts that happen while pages are read may be missing from them. Errors of the call are raised as they are.
    """

    async def count(self) -> int:
        """Returns about how many orders there are."""
        ...

    async def page(self, after: str) -> PastFacts | None:
        """Returns the facts of the next orders behind a position, "" for the first; None behind the last."""
        ...
