"""Tell a participant of a two-phase commit what was decided about a transaction that it has prepared."""

from dataclasses import dataclass

from marketplace.order.deps import Deps
from souk.sdk import BranchFate


@dataclass(frozen=True, slots=True)
class GetDecision:
    """Read the decision about the transaction of a key."""

    transaction: str


async def get_decision(deps: Deps, query: GetDecision) -> BranchFate:
    """Returns the decision; one about a transaction that is not recorded is to abort.

    A database without prepared transactions has no records, and says nothing about them.
    """
    return BranchFate.OPEN if deps.two_phase is None else await deps.two_phase.decision(query.transaction)
