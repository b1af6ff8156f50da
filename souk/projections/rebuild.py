"""Rebuilds a projection, step by step, so that it can go on after a crash at any await."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from souk.faults import INERT, Faults
from souk.kernel.errors import LeaseLost, SoukError, StoreError
from souk.projections.projection import Projection, RebuildBatch
from souk.projections.records import (
    HeldRebuild,
    RebuildPhase,
    RebuildRecord,
    find_rebuild,
    take_over_rebuild,
    take_rebuild,
)
from souk.store.database import Database, Transaction
from souk.telemetry.logs import logger

POLL = 0.5
"""Seconds between two looks at a rebuild that another process works on."""
REST = 1.0
"""Seconds of rest for each second that a batch took: a rebuild leaves half of its process to others."""

_NEXT = {
    RebuildPhase.OPENING: RebuildPhase.FILLING,
    RebuildPhase.FILLING: RebuildPhase.SWITCHING,
    RebuildPhase.SWITCHING: RebuildPhase.CLEANING,
    RebuildPhase.CLEANING: RebuildPhase.DONE,
}
FAULT_POINTS = (
    *(f"rebuild.{phase}.{when}" for phase in _NEXT for when in ("before", "after")),
    "rebuild.filling.batch",
)
"""Where a test can kill the process: around each phase, and between reading a batch and writing it."""

_log = logger("projections")


@dataclass(frozen=True, slots=True)
class RebuildStep:
    """A rebuild as it is now; `joined` if another owner works on it, `resumed` if it goes on with one that stopped."""

    record: RebuildRecord
    joined: bool = False
    resumed: bool = False


class RebuildHeld(SoukError):
    """A rebuild cannot begin anew, because another call works on it."""


class _Run:
    """Implements `RebuildRun`: this owner's hold on a rebuild."""

    def __init__(self, database: Database, record: RebuildRecord, held: HeldRebuild) -> None:
        self._database = database
        self.record, self.held = record, held

    @property
    def generation(self) -> int:
        return self.record.generation

    async def hold(self, tx: Transaction) -> None:
        await self.held.hold(tx)

    async def still_held(self) -> None:
        await self._database.run(self.held.hold)


class Rebuild:
    """The rebuilds of one projection, `name`, of the service that owns `database`. `rest` is as REST."""

    def __init__(
        self, name: str, projection: Projection, database: Database, faults: Faults = INERT, rest: float = REST
    ) -> None:
        self._name, self._projection, self._database = name, projection, database
        self._faults, self._rest = faults, rest

    async def last(self) -> RebuildRecord | None:
        """Returns the last rebuild, if there was one."""
        return await self._database.read(lambda tx: find_rebuild(tx, self._name))

    async def run(self, *, anew: bool = False) -> AsyncGenerator[RebuildStep, None]:
        """Rebuilds the projection, or goes on with a rebuild that has stopped; gives a step after each batch.

        While another owner works on it, its steps are given, and this one takes over when that one is gone. A consumer
        that stops taking steps stops the rebuild, which can go on later. With `anew` it begins from the start; that
        raises RebuildHeld while another owner works on it.
        """
        owner = uuid4().hex
        before, total = await self.last(), await self._projection.count()
        take = partial(take_rebuild, projection=self._name, owner=owner, total=total, anew=anew)
        ours = await self._database.run(take)
        if anew and not ours:
            raise RebuildHeld(f"another call works on the rebuild of {self._name}")
        record = await self._recorded()
        resumed = ours and before is not None and before.generation == record.generation
        while True:
            try:
                if ours:
                    async with aclosing(self._drive(_held(self._database, record, owner))) as steps:
                        async for now in steps:
                            yield RebuildStep(now, resumed=resumed)
                    return
            except LeaseLost:
                _log.warning("another process has taken over the rebuild", projection=self._name)
            now = await self._recorded()
            yield RebuildStep(now, joined=True)
            if now.generation != record.generation or now.phase is RebuildPhase.DONE:
                return
            await asyncio.sleep(POLL)
            take_over = partial(take_over_rebuild, projection=self._name, owner=owner, generation=record.generation)
            if ours := await self._database.run(take_over):
                record, resumed = await self._recorded(), True

    async def _recorded(self) -> RebuildRecord:
        record = await self.last()
        assert record is not None, "it was recorded just now, and no rebuild is ever deleted"
        return record

    async def _drive(self, run: _Run) -> AsyncGenerator[RebuildRecord, None]:
        phase = run.record.phase
        try:
            while phase is not RebuildPhase.DONE:
                yield await self._recorded()
                self._faults.point(f"rebuild.{phase}.before")
                if phase is RebuildPhase.FILLING:
                    async with aclosing(self._fill(run)) as filled:
                        async for record in filled:
                            yield record
                else:
                    await self._once(phase, run)
                self._faults.point(f"rebuild.{phase}.after")
                phase = _NEXT[phase]
                await self._database.run(partial(run.held.enter, phase=phase))
            yield await self._recorded()
        finally:
            await self._release(run)

    async def _release(self, run: _Run) -> None:
        """Ends the lease, if it is still held. Without the database, it ends by itself."""
        try:
            await asyncio.shield(self._database.run(run.held.release))
        except StoreError as error:
            _log.warning("the lease of a rebuild could not be ended", projection=self._name, error=str(error))

    async def _once(self, phase: RebuildPhase, run: _Run) -> None:
        step = {
            RebuildPhase.OPENING: self._projection.open,
            RebuildPhase.SWITCHING: self._projection.switch,
            RebuildPhase.CLEANING: self._projection.clean,
        }[phase]
        await step(run)

    async def _fill(self, run: _Run) -> AsyncGenerator[RebuildRecord, None]:
        time, after = asyncio.get_running_loop().time, run.record.position
        began = time()
        while (batch := await self._projection.batch(run, after)) is not None:
            self._faults.point("rebuild.filling.batch")
            await self._database.run(partial(_store, batch=batch, held=run.held), guarded=True)
            after = batch.after
            yield await self._recorded()
            await asyncio.sleep((time() - began) * self._rest)
            began = time()

    async def check(self) -> AsyncGenerator[tuple[int, int, list[str]], None]:
        """Compares the projection with what it is made from; gives how many are done, about of how many, and what
        differs since the step before."""
        total, done, after = await self._projection.count(), 0, ""
        while (compared := await self._projection.compare(after)) is not None:
            done, after = done + compared.count, compared.after
            yield done, max(total, done), list(compared.differences)
            await asyncio.sleep(0)
        if not done:
            yield 0, 0, []


def _held(database: Database, record: RebuildRecord, owner: str) -> _Run:
    return _Run(database, record, HeldRebuild(record.projection, owner, record.epoch))


async def _store(tx: Transaction, batch: RebuildBatch, held: HeldRebuild) -> None:
    # First, so that an owner that has lost the lease writes nothing.
    await held.advance(tx, batch.after, batch.count)
    await batch.write(tx)
