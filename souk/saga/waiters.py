"""Waits for the outcomes and ends of runs, whichever replica drives them."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

import structlog

from souk.kernel.clock import Clock
from souk.kernel.errors import StoreError
from souk.saga.definition import SagaRef
from souk.saga.store import CHANNEL, SagaOutcome, SagaProgress
from souk.store.database import Database, Transaction

log = structlog.get_logger("souk.saga")

Enough = Callable[[SagaProgress], bool]


class Progresses(Protocol):
    """The records of runs, of which a watch reads the progress."""

    async def progress(self, tx: Transaction, ref: SagaRef) -> SagaProgress:
        """Returns the progress of a run. Raises LookupError if there is no such run."""
        ...


class DrivenRun(Protocol):
    """A run that this process drives. `decided` is set at its outcome, `stopped` when the process drives it no more;
    both are set then."""

    decided: asyncio.Event
    stopped: asyncio.Event

    @property
    def progress(self) -> SagaProgress:
        """The committed progress."""
        ...


class ProgressWaiters:
    """Waits for a run on this process's own drive of it if it is in `drives`, and on the database otherwise."""

    def __init__(self, drives: Mapping[SagaRef, DrivenRun], watch: "Watch", clock: Clock) -> None:
        self._drives, self._watch, self._clock = drives, watch, clock

    async def decided(self, ref: SagaRef, until: float) -> SagaProgress:
        """Waits for the outcome, or until `until` (monotonic seconds). Raises LookupError if there is no such run."""
        if (run := self._drives.get(ref)) is not None and await self._enough(run, run.decided, until, _is_decided):
            return run.progress
        return await self._watch.wait(ref, until, _is_decided)

    async def ended(self, ref: SagaRef, until: float) -> SagaProgress:
        """Waits until nothing is left to do, or until `until`. Raises LookupError if there is no such run."""
        if (run := self._drives.get(ref)) is not None and await self._enough(run, run.stopped, until, _has_ended):
            return run.progress
        return await self._watch.wait(ref, until, _has_ended)

    async def close(self) -> None:
        """Ends the watch."""
        await self._watch.close()

    async def _enough(self, run: DrivenRun, event: asyncio.Event, until: float, enough: Enough) -> bool:
        """Waits for the event; returns whether the run's progress is the answer: there is enough of it, or no time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(until - self._clock.monotonic()):
                await event.wait()
        return enough(run.progress) or self._clock.monotonic() >= until


def _is_decided(progress: SagaProgress) -> bool:
    return progress.outcome is not SagaOutcome.RUNNING


def _has_ended(progress: SagaProgress) -> bool:
    return progress.ended


class Watch:
    """One poller for all waiters of this process. The database wakes it, and it runs only while there are waiters."""

    def __init__(self, database: Database, store: Progresses, clock: Clock, poll: float) -> None:
        self._database, self._store, self._clock, self._poll = database, store, clock, poll
        self._waiting: dict[asyncio.Future[SagaProgress], tuple[SagaRef, Enough]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    async def wait(self, ref: SagaRef, until: float, enough: Enough) -> SagaProgress:
        """Waits until the progress of `ref` is `enough`, or until `until` (monotonic seconds), and returns it.

        Raises LookupError if there is no such run.
        """
        progress = await self._database.read(lambda tx: self._store.progress(tx, ref), single=True)
        if enough(progress):
            return progress
        news: asyncio.Future[SagaProgress] = asyncio.get_running_loop().create_future()
        self._waiting[news] = ref, enough
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._keep_polling())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(until - self._clock.monotonic()):
                    progress = await news
        finally:  # also when the waiter is cancelled: otherwise the poller would look for its run for ever
            self._waiting.pop(news, None)
        return progress

    async def close(self) -> None:
        """Stops the poller."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)

    async def _keep_polling(self) -> None:
        stop_listening = self._database.listen(CHANNEL, self._wake.set)
        try:
            while self._waiting:
                self._wake.clear()
                await self._poll_once()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll):
                        await self._wake.wait()
        finally:
            stop_listening()

    async def _poll_once(self) -> None:
        refs = {ref for ref, _ in self._waiting.values()}

        async def progress(tx: Transaction) -> dict[SagaRef, SagaProgress]:
            return {ref: await self._store.progress(tx, ref) for ref in refs}

        try:
            found = await self._database.read(progress)
        except StoreError as error:
            log.warning("saga progress cannot be read", error=type(error).__name__)
            return
        for news, (ref, enough) in list(self._waiting.items()):
            if ref in found and enough(found[ref]) and not news.done():
                news.set_result(found[ref])
