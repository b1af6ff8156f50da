"""The definition of an atomic action: the branches that all commit or all roll back, and the hooks of its outcome.

AtomicAction(
    "place-order",
    Branch("reserve stock", prepare=..., commit=..., roll_back=...),
    Branch("charge payment", prepare=..., commit=..., roll_back=...),
    decided=confirm, aborted=reject, ended=placed,
)
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from souk.saga.definition import Do, Ended, Rejected, StepCall, Undo
from souk.store.database import Transaction

Decided = Callable[[Transaction, StepCall], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Branch:
    """The part of one participant. Each function calls it, with the run's key.

    `prepare` is called once: it does the work, holds what it locked, and promises that it can commit; a DomainError of
    the participant is a refusal that has left nothing. `commit` and `roll_back` are called until they are
    acknowledged. `roll_back` is also called for a branch that may never have been prepared; it must then block a
    prepare that arrives late. `timeout` is the limit of one call in seconds.
    """

    name: str
    prepare: Do
    commit: Undo
    roll_back: Undo
    timeout: float = 5.0


class AtomicAction:
    """An action of several participants: its branches in the order in which they are prepared, and its hooks.

    The hooks write to the coordinator's database. `decided` runs in the transaction that records the decision to
    commit, with the results of the branches; `aborted` in that which records an abort; `ended` in that after which
    nothing is left to do. Their key is `<subject>:<attempt>`, as that of the branches.
    """

    def __init__(self, name: str, *branches: Branch, decided: Decided, aborted: Rejected, ended: Ended) -> None:
        if len({branch.name for branch in branches}) != len(branches) or not branches:
            raise ValueError(f"action {name!r}: branches need names of their own")
        self.name = name
        self.branches = branches
        self.decided = decided
        self.aborted = aborted
        self.ended = ended
