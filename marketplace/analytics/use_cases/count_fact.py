"""Counting what an event says."""

from dataclasses import dataclass

from marketplace.analytics.deps import Deps
from marketplace.analytics.domain.facts import Fact


@dataclass(frozen=True, slots=True)
class CountFact:
    """Add a fact to the figures, unless it is in them."""

    fact: Fact


async def count_fact(deps: Deps, command: CountFact) -> None:
    """Counts a fact once, however often it comes; fact and figures change in one transaction."""
    # Guarded by the fact's key; and transactions that change the same figures hold one lock.
    if await deps.database.run(lambda tx: deps.figures.add(tx, command.fact), guarded=True):
        deps.counted(command.fact)
