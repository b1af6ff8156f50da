"""Takes runs over that nobody drives: the longest due first, in batches, and no more at once than there is room for."""

from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import NamedTuple

from souk.saga.driving.execution import SagaExecution
from souk.saga.driving.hooks import Tools
from souk.saga.run import Held
from souk.saga.takeover.due import due_runs, next_due
from souk.saga.versions import SagaVersions
from souk.store.database import Transaction


class _Batch(NamedTuple):
    """Runs that were taken over; `next_in` is when the next one is due, in seconds: at once if there may be more."""

    runs: list[Held]
    next_in: float


class Intake:
    """Takes over the runs that are due, for one runner, which `resume`s each of them.

    A run has a share of the room from its takeover until it ends, rests, or pauses for the first time between two
    tries. So what was taken over at once cannot ask participants and the database for more than they can bear, and
    runs whose participant is away do not keep others from being taken over.
    """

    def __init__(self, tools: Tools, versions: SagaVersions, resume: Callable[[Held], SagaExecution | None]) -> None:
        self._tools, self._versions, self._resume = tools, versions, resume
        self._fresh: set[SagaExecution] = set()
        self._full = False

    async def take_due(self, meanwhile: Callable[[], Awaitable[None]]) -> float:
        """Takes over what is due, while there is room; returns the seconds until the next run will be due.

        Without room it is infinite: the end of a run makes room. `meanwhile` is awaited between two batches. Raises
        StoreError.
        """
        while (room := self._room()) > 0:
            limit = min(room, self._tools.settings.claim_at_once)
            batch = await self._tools.database.run(partial(self._claim, limit=limit), guarded=True)
            self._fresh.update(one for held in batch.runs if (one := self._resume(held)) is not None)
            if batch.next_in > 0:
                self._full = False
                return batch.next_in
            await meanwhile()
        self._full = True
        return inf

    def leave(self, execution: SagaExecution) -> bool:
        """Gives the room of a run back that this process drives no more; returns whether it is time to take others.

        That is so when runs may have been left for want of room, and a good part of it is free again: taken over one
        by one, they would cost much more.
        """
        self._fresh.discard(execution)
        return self._full and 2 * (self._tools.settings.taken_at_once - len(self._fresh)) >= self._batch

    @property
    def _batch(self) -> int:
        return min(self._tools.settings.claim_at_once, self._tools.settings.taken_at_once)

    def _room(self) -> int:
        self._fresh = {execution for execution in self._fresh if execution.fresh}
        return self._tools.settings.taken_at_once - len(self._fresh)

    async def _claim(self, tx: Transaction, limit: int) -> _Batch:
        refs = await due_runs(tx, limit, self._versions)
        runs = await self._tools.store.take(tx, refs) if refs else []
        return _Batch(runs, 0.0 if len(refs) == limit else await next_due(tx))
