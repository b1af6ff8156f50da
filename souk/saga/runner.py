"""Runs sagas: starts them, waits for them, resumes runs of dead replicas, and lists parked steps.

    start(tx) -> records a run with the caller's own writes; after the commit a task of the runner drives it
    wait(ref) -> waits for the outcome; cancelling the wait does not affect the run
    run()     -> renews leases, takes over runs whose lease is over, also those that an operator retried, and drops the
                 data of old runs

Source: Garcia-Molina and Salem, "Sagas" (1987); Chris Richardson, "Pattern: Saga".
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from functools import partial

import structlog

from souk.faults import INERT, Faults
from souk.kernel.clock import Clock
from souk.kernel.context import current
from souk.kernel.errors import LeaseLost, StoreError
from souk.saga import compatibility, machine, maintenance, parked
from souk.saga.definition import Saga, SagaRef
from souk.saga.execution import SagaExecution, Tools, run_hooks
from souk.saga.fault_points import AFTER, BEFORE, fault_points, start_point
from souk.saga.operator.run_records import SagaAction, actions_of
from souk.saga.parked import ParkedStep
from souk.saga.settings import SagaSettings
from souk.saga.store import Held, SagaOutcome, SagaProgress, SagaStore
from souk.saga.versions import SagaVersion, SagaVersions, mark
from souk.saga.waiters import ProgressWaiters, Watch
from souk.store.database import Database, Transaction
from souk.telemetry.tracing.tracer import Tracer

__all__ = ["SagaOutcome", "SagaProgress", "SagaRunner", "SagaSettings", "fault_points"]

log = structlog.get_logger("souk.saga")


class SagaRunner:
    """Runs the sagas of one service, `service`, on that service's database. `sagas` may have several versions of one.

    Any number of runners, each with an `owner` of its own, may work on one database; each run is driven
    by one of them at a time. A run that is recorded will end: all its steps done, or all undone.
    """

    def __init__(
        self,
        database: Database,
        sagas: Iterable[Saga],
        clock: Clock,
        owner: str,
        settings: SagaSettings | None = None,
        faults: Faults = INERT,
        *,
        service: str,
        tracer: Tracer | None = None,
    ) -> None:
        self.versions = SagaVersions(sagas)
        self._settings = settings or SagaSettings()
        self._store = SagaStore(self.versions.step_names, owner, self._settings.lease)
        self._tools = Tools(database, self._store, clock, service, self._settings, faults, tracer=tracer)
        self._drives: dict[SagaRef, SagaExecution] = {}
        self._waiters = ProgressWaiters(self._drives, Watch(database, self._store, clock, self._settings.poll), clock)
        self._tasks: dict[SagaExecution, asyncio.Task[None]] = {}
        self._closed = False
        self._next_sweep = self._next_check = clock.monotonic()
        self._unknown: dict[SagaRef, SagaVersion] = {}

    async def require_compatible(self) -> None:
        """Records the definitions of this program, at its start; logs which open runs only another one can end.

        Raises ConfigurationError when a definition changed under its open runs, and StoreError.
        """
        work = partial(compatibility.require_compatible, versions=self.versions)
        for one in await self._tools.database.run(work, guarded=True):
            log.warning("open sagas are left to another program", runs=one.runs, why=one.why)

    async def start(
        self,
        tx: Transaction,
        saga_name: str,
        subject: str,
        attempt: int,
        input: bytes,  # noqa: A002  # what it is called everywhere else
        on_behalf_of: str = "",
    ) -> SagaRef:
        """Records a new run and its first call in `tx`; the run is driven once `tx` has committed.

        `input` and `on_behalf_of`, the user it acts for, are given to every step. May be called in a hook of
        another saga. A pair of subject and attempt may be used once for each saga.
        """
        saga, faults = self.versions.latest(saga_name), self._tools.faults
        decision = machine.begin(saga)
        ref = SagaRef(saga_name, subject, attempt)
        origin = input, on_behalf_of, current().traceparent
        held = Held(ref, 1, 0, *origin, saga.deadline, decision.run, saga.version, saga.fingerprint)
        await self._store.insert(tx, held)
        await run_hooks(tx, saga, held, decision)
        faults.point(start_point(saga_name, BEFORE))
        tx.after_commit(lambda: self._started(held))
        return ref

    async def wait(self, ref: SagaRef, until: float) -> SagaProgress:
        """Waits until the outcome is committed, or until `until` (monotonic seconds), then with RUNNING.

        It works in any replica. A saga that only goes forward is COMMITTED from its start:
        use `wait_ended` for it. Raises LookupError if there is no such run.
        """
        return await self._waiters.decided(ref, until)

    async def wait_ended(self, ref: SagaRef, until: float) -> SagaProgress:
        """Waits until nothing is left to do, forward or back, or until `until`, then with `ended` false."""
        return await self._waiters.ended(ref, until)

    async def open(self, tx: Transaction, subject: str) -> bool:
        """Returns whether a run of `subject` has not ended: a step, or an undo, is still to be done."""
        return await self._store.open(tx, subject)

    async def progress(self, tx: Transaction, ref: SagaRef) -> SagaProgress:
        """Returns the progress of a run, as `tx` sees it. Raises LookupError if there is no such run."""
        return await self._store.progress(tx, ref)

    async def parked(self, limit: int = 100) -> list[ParkedStep]:
        """Returns the steps that wait for an operator, the oldest run first."""
        return await self._tools.database.read(lambda tx: parked.parked_steps(tx, limit))

    async def actions(self, tx: Transaction, subject: str) -> list[SagaAction]:
        """Returns what operators did with the runs of a subject, in order."""
        return await actions_of(tx, subject)

    async def counts(self) -> dict[tuple[str, str], int]:
        """Counts the open runs by saga and phase, for metrics; what waits for an operator is `parked` or `paused`."""
        return await self._tools.database.read(maintenance.counts)

    async def run(self) -> None:
        """Renews this owner's leases and takes over abandoned runs until it is cancelled; then closes the runner."""
        try:
            while True:
                try:
                    await self._renew()
                    while await self._take_over() == self._settings.claim_at_once:
                        await self._renew()
                    await self._forget()
                    await self._mark_unknown()
                except StoreError as error:
                    log.warning("saga leases cannot be seen to", error=type(error).__name__)
                await asyncio.sleep(self._settings.claim)
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self, grace: float = 0.0) -> None:
        """Takes no new runs, lets the present ones go on for `grace` seconds, then leaves them to other runners."""
        self._closed = True
        tasks = list(self._tasks.values())
        if tasks and grace > 0:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._waiters.close()
        with suppress(StoreError):
            await self._tools.database.run(self._store.release)

    def _started(self, held: Held) -> None:
        self._tools.faults.point(start_point(held.ref.name, AFTER))
        self._execution(held)

    def _resume(self, held: Held) -> None:
        after = machine.resumed(self._definition(held), held.run)
        self._execution(replace(held, run=after))

    def _execution(self, held: Held) -> None:
        if self._closed or not (held.run.active or held.asked):
            return
        execution = SagaExecution(self._definition(held), held, self._tools)
        self._drives[held.ref] = execution
        # An empty context, so that the task has neither the caller nor the deadline of the request that started it.
        self._tasks[execution] = asyncio.get_running_loop().create_task(self._go(execution), context=Context())

    def _definition(self, held: Held) -> Saga:
        return self.versions.of(held.ref.name, held.version)

    async def _go(self, execution: SagaExecution) -> None:
        ref = execution.held.ref
        try:
            await execution.go()
        except LeaseLost:
            log.info("saga taken over by another owner", saga=ref.name, subject=ref.subject, attempt=ref.attempt)
        except Exception:
            # The lease runs out, and the runner that takes over reads the run from the database.
            log.exception("saga left", saga=ref.name, subject=ref.subject, attempt=ref.attempt)
        finally:
            del self._tasks[execution]
            if self._drives.get(ref) is execution:
                del self._drives[ref]
            execution.stop()

    async def _renew(self) -> None:
        silent = [execution for execution in self._tasks if execution.silent_for >= self._settings.lease / 3]
        silent.sort(key=lambda execution: (execution.held.ref.subject, execution.held.ref.name))
        at_once = self._settings.claim_at_once
        for start in range(0, len(silent), at_once):
            await self._renew_some(silent[start : start + at_once])

    async def _renew_some(self, drives: list[SagaExecution]) -> None:
        async def renew(tx: Transaction) -> list[bool]:
            return [await self._store.renew(tx, execution.held) for execution in drives]

        for execution, ours in zip(drives, await self._tools.database.run(renew), strict=True):
            if ours:
                execution.renewed()
            elif (task := self._tasks.get(execution)) is not None:
                task.cancel()

    async def _take_over(self) -> int:
        claimed = await self._tools.database.run(self._claim)
        for held in claimed:
            log.info("saga taken over", saga=held.ref.name, subject=held.ref.subject, attempt=held.ref.attempt)
            self._resume(held)
        return len(claimed)

    async def _forget(self) -> None:
        """Drops the data of old runs, one batch at a time, so that leases are renewed in between."""
        if self._tools.clock.monotonic() < self._next_sweep:
            return
        settings = self._settings
        work = partial(maintenance.forget, older_than=settings.retention, limit=settings.sweep_batch)
        if await self._tools.database.run(work, guarded=True) < settings.sweep_batch:
            self._next_sweep = self._tools.clock.monotonic() + settings.sweep

    async def _mark_unknown(self) -> None:
        """Marks the runs that only another version can drive, and logs them in one line when new ones are found."""
        if self._tools.clock.monotonic() < self._next_check:
            return
        self._next_check = self._tools.clock.monotonic() + self._settings.lease
        found = await self._tools.database.run(partial(mark, versions=self.versions))
        if found.keys() - self._unknown.keys():
            log.error(
                "open sagas whose definition this program does not have are not taken over; see `souk saga check`",
                runs=len(found),
                definitions=sorted({str(begun) for begun in found.values()}),
            )
        self._unknown = found

    async def _claim(self, tx: Transaction) -> list[Held]:
        refs = await self._store.abandoned(tx, self._settings.claim_at_once, self.versions)
        return [await self._store.take(tx, ref) for ref in refs]
