"""The port to a projection: what a service keeps beside its own data, made from it, such as a read model or an index.

A rebuild makes a new generation of it while the old one is read:

    open     the new generation is empty, and changes reach both from now on
    batch    what was there before is added, a few items at a time
    switch   the new generation is read from now on
    clean    the old one is deleted

The process may die at any await, and another one goes on with the same step. So each step can be repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from souk.store.database import Transaction, Work


async def _nothing(tx: Transaction) -> None:
    """Writes nothing: the default of a batch that is stored outside the database."""


@dataclass(frozen=True, slots=True)
class RebuildBatch:
    """Some items that were read: `after` is the position behind them, and `count` how many they are.

    `write` stores them, in the transaction that records the position. It must not replace an item that a change has
    written meanwhile, because that is newer.
    """

    after: str
    count: int
    write: Work[None] = _nothing


@dataclass(frozen=True, slots=True)
class Comparison:
    """Some items that were compared, as in `RebuildBatch`; `differences` has a line for each item that is wrong."""

    after: str
    count: int
    differences: Sequence[str] = ()


class RebuildRun(Protocol):
    """A rebuild under way, held under a lease. `generation` is what it makes; it grows from rebuild to rebuild."""

    @property
    def generation(self) -> int: ...

    async def hold(self, tx: Transaction) -> None:
        """Extends the lease, in a transaction; raises LeaseLost if another process has taken the rebuild over."""
        ...

    async def still_held(self) -> None:
        """Extends the lease, in a transaction of its own; raises LeaseLost as `hold`.

        For a step outside the database, just before it, and for one that takes long.
        """
        ...


class Projection(Protocol):
    """One projection. Each method may be called again after a crash, also by another process."""

    async def count(self) -> int:
        """Returns about how many items there are, to show progress by."""
        ...

    async def open(self, run: RebuildRun) -> None:
        """Makes the new generation, empty. Every change that commits after this returned is in both generations."""
        ...

    async def batch(self, run: RebuildRun, after: str) -> RebuildBatch | None:
        """Reads the items behind the position `after`, "" for the first; returns None when there are no more.

        Items that came after the opening may be left out: they are in the new generation already. An implementation
        must not follow them for ever.
        """
        ...

    async def switch(self, run: RebuildRun) -> None:
        """Makes the new generation the one that is read, at one instant."""
        ...

    async def clean(self, run: RebuildRun) -> None:
        """Deletes every generation that is no longer read, in short transactions."""
        ...

    async def compare(self, after: str) -> Comparison | None:
        """Compares the items behind `after` with what they are made from; returns None when there are no more."""
        ...
