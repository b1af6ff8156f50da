"""Runs sagas: starts them, waits for them, resumes runs of dead replicas, and lists parked steps.

    start(tx) -> records a run with the caller's own writes; after the commit a task of the runner drives it
    wait(ref) -> waits for the outcome; cancelling the wait does not affect the run
    deliver(tx, message) -> gives a message to the run that expects it, or keeps it for one
    run()     -> renews leases, takes over runs whose lease is over, also those that an operator retried and those whose
                 wait is over, and drops the data of old runs

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
from souk.rpc.metadata import releases_text
from souk.saga import compatibility, machine, maintenance
from souk.saga.definition import Saga, SagaRef
from souk.saga.driving.execution import SagaExecution
from souk.saga.driving.hooks import Tools, run_hooks, step_call, to_rest
from souk.saga.driving.intake import Intake
from souk.saga.fault_points import AFTER, BEFORE, DELIVERED, fault_points, point, start_point
from souk.saga.maintenance import Upkeep
from souk.saga.operator import parked
from souk.saga.operator.parked import ParkedStep
from souk.saga.operator.run_records import SagaAction, actions_of
from souk.saga.run import Held
from souk.saga.settings import SagaSettings
from souk.saga.store import SagaOutcome, SagaProgress, SagaStore
from souk.saga.versions import SagaVersions
from souk.saga.waiters import ProgressWaiters, Watch
from souk.saga.waiting import mailbox
from souk.saga.waiting.saga_message import MessageFate, MessageReceipt, SagaMessage
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
        self._woken = asyncio.Event()
        self._intake = Intake(self._tools, self.versions, self._resume)
        self._upkeep = Upkeep(database, self.versions, clock, self._settings)

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
        call = current()
        origin = input, on_behalf_of, call.traceparent
        previous = await self._store.previous(tx, ref)
        begun = saga.version, saga.fingerprint
        run, state = decision.run, call.tracestate
        met = releases_text(call.releases)
        held = Held(ref, 1, 0, *origin, saga.deadline, run, *begun, previous=previous, tracestate=state, releases=met)
        await self._store.insert(tx, held)
        for index, step in enumerate(saga.steps):
            if step.wait is not None and step.wait.message:
                key = step.wait.key(step_call(saga, held, decision.run, index))
                await mailbox.expect(tx, ref, step.name, step.wait.message, key)
        await to_rest(tx, saga, held, None, decision.run, self._settings.claim)
        await run_hooks(tx, saga, held, decision)
        faults.point(start_point(saga_name, BEFORE))
        tx.after_commit(lambda: self._started(held))
        return ref

    async def deliver(self, tx: Transaction, message: SagaMessage) -> MessageReceipt:
        """Gives a message to the run that expects it, in `tx`; returns what became of the message.

        A run may wait for it now, or come to that step later. A message that no run expects is kept, as long as data of
        runs are (`SagaSettings.retention`), for one that starts. Of two messages for one step the first is taken; of
        two runs that expect one message, the older. Any process of the service may deliver it, with its own writes:
        a message is recorded once by its name and id, however often it is delivered.
        """
        delivery = await mailbox.deliver(tx, message, current().traceparent)
        if delivery.fate is MessageFate.LATE and not delivery.repeated:
            log.warning("message for a saga came too late", message=message.name, key=message.key, id=message.id)
        if self._tools.faults.armed and delivery.ref is not None and delivery.step:
            points = [point(delivery.ref.name, delivery.step, DELIVERED, when) for when in (BEFORE, AFTER)]
            self._tools.faults.point(points[0])
            tx.after_commit(lambda: self._tools.faults.point(points[1]))
        return delivery

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
        stop_listening = self._tools.database.listen(mailbox.WAKE, self._woken.set)
        try:
            while True:
                self._woken.clear()
                pause = self._settings.claim
                try:
                    await self._renew()
                    pause = min(pause, await self._intake.take_due(self._renew))
                    await self._upkeep.run()
                except StoreError as error:
                    log.warning("saga leases cannot be seen to", error=type(error).__name__)
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
        except asyncio.CancelledError:
            await self.close()
            raise
        finally:
            stop_listening()

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

    def _resume(self, held: Held) -> SagaExecution | None:
        if held.news is None:
            log.info("saga taken over", saga=held.ref.name, subject=held.ref.subject, attempt=held.ref.attempt)
        after = machine.resumed(self._definition(held), held.run)
        return self._execution(replace(held, run=after))

    def _execution(self, held: Held) -> SagaExecution | None:
        if self._closed or not (held.run.active or held.asked or held.news):
            return None
        execution = SagaExecution(self._definition(held), held, self._tools)
        self._drives[held.ref] = execution
        # An empty context, so that the task has neither the caller nor the deadline of the request that started it.
        self._tasks[execution] = asyncio.get_running_loop().create_task(self._go(execution), context=Context())
        return execution

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
            if self._intake.leave(execution):
                self._woken.set()

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
