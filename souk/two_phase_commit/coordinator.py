"""Starts runs of two-phase commit, waits for them, and takes over those whose coordinator died."""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from contextvars import Context
from typing import Any

import structlog

from souk.faults import INERT, Faults
from souk.kernel.clock import Clock
from souk.kernel.context import current
from souk.kernel.errors import ConfigurationError, LeaseLost, StoreError
from souk.saga.definition import SagaRef
from souk.saga.operator.parked import ParkedStep
from souk.saga.settings import SagaSettings
from souk.saga.store import SagaProgress
from souk.saga.waiters import ProgressWaiters, Watch
from souk.store.database import Database, Transaction
from souk.telemetry.tracing.tracer import Tracer
from souk.two_phase_commit import fault_points as at
from souk.two_phase_commit import parked
from souk.two_phase_commit.definition import AtomicAction
from souk.two_phase_commit.drive import TwoPhaseDrive, TwoPhaseTools
from souk.two_phase_commit.machine import TwoPhase
from souk.two_phase_commit.resolver import BranchFate
from souk.two_phase_commit.store import TwoPhaseHeld, TwoPhaseStore

log = structlog.get_logger("souk.two_phase_commit")


async def require_prepared_transactions(database: Database) -> None:
    """Raises ConfigurationError, in one line, unless this database's server takes prepared transactions."""
    if database.prepared is None:
        raise ConfigurationError("two-phase commit needs PostgreSQL: SQLite has no prepared transactions")
    if not await database.prepared.limit():
        raise ConfigurationError(
            "two-phase commit needs a PostgreSQL with max_prepared_transactions above 0: set it there, or, for the "
            "fleet's own PostgreSQL, SOUK_POSTGRES_PREPARED_TRANSACTIONS"
        )


class TwoPhaseCoordinator:
    """Coordinates the atomic actions of one service, `service`; its records are in that service's database. `tracer`
    records what is asked of participants.

    It has the methods of a SagaRunner that a use case needs, so that either can stand in for the other. Any number of
    coordinators, each with an `owner` of its own, may work on one database. A run that is recorded will end: without
    a decision it is aborted a lease after its coordinator died, with one it is carried out; or parked, if a
    participant refuses that for good.
    """

    def __init__(
        self,
        database: Database,
        actions: Iterable[AtomicAction],
        clock: Clock,
        owner: str,
        settings: SagaSettings | None = None,
        faults: Faults = INERT,
        *,
        service: str,
        tracer: Tracer | None = None,
    ) -> None:
        self._actions = {action.name: action for action in actions}
        self._settings = settings or SagaSettings()
        self._store = TwoPhaseStore(owner, self._settings.lease)
        self._tools = TwoPhaseTools(database, self._store, clock, service, self._settings, faults, tracer)
        self._drives: dict[SagaRef, TwoPhaseDrive] = {}
        self._waiters = ProgressWaiters(self._drives, Watch(database, self._store, clock, self._settings.poll), clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(
        self,
        tx: Transaction,
        name: str,
        subject: str,
        attempt: int,
        input: bytes,  # noqa: A002  # what it is called everywhere else
        on_behalf_of: str = "",
    ) -> SagaRef:
        """Records a new run in `tx`; it is driven once `tx` has committed.

        `input` and `on_behalf_of`, the user it acts for, are given to every branch. A pair of subject and attempt may
        be used once.
        """
        action, ref = self._actions[name], SagaRef(name, subject, attempt)
        call = current()
        origin = input, on_behalf_of, call.traceparent
        held = TwoPhaseHeld(ref, *origin, TwoPhase.PREPARING, tracestate=call.tracestate)
        await self._store.insert(tx, held)
        self._tools.faults.point(at.record_point(name, at.STARTED, at.BEFORE))
        tx.after_commit(lambda: self._started(action, held))
        return ref

    async def wait(self, ref: SagaRef, until: float) -> SagaProgress:
        """Waits until the decision is committed, or until `until` (monotonic seconds), then with RUNNING.

        It works in any replica. Raises LookupError if there is no such run.
        """
        return await self._waiters.decided(ref, until)

    async def wait_ended(self, ref: SagaRef, until: float) -> SagaProgress:
        """Waits until every branch has ended, or until `until`, then with `ended` false. Raises LookupError."""
        return await self._waiters.ended(ref, until)

    async def open(self, tx: Transaction, subject: str) -> bool:
        """Returns whether a run of `subject` has not ended."""
        return await self._store.open(tx, subject)

    async def progress(self, tx: Transaction, ref: SagaRef) -> SagaProgress:
        """Returns the progress of a run, as `tx` sees it. Raises LookupError if there is no such run."""
        return await self._store.progress(tx, ref)

    async def parked(self, limit: int = 100) -> list[ParkedStep]:
        """Returns the branches that wait for an operator, the oldest run first."""
        return await self._tools.database.read(lambda tx: parked.parked_branches(tx, limit))

    async def counts(self) -> dict[tuple[str, str], int]:
        """Counts the open runs by name and phase, for metrics; those that wait for an operator count as `parked`."""
        return await self._tools.database.read(parked.open_runs)

    async def decision(self, key: str) -> BranchFate:
        """Returns what a participant in doubt is to do. A run that is not recorded was never prepared: it aborts."""
        phase = await self._tools.database.read(lambda tx: self._store.phase(tx, key), single=True)
        if phase is TwoPhase.PREPARING:
            return BranchFate.OPEN
        return BranchFate.COMMIT if phase in (TwoPhase.COMMITTING, TwoPhase.COMMITTED) else BranchFate.ABORT

    async def run(self) -> None:
        """Renews leases and takes over abandoned runs until it is cancelled; then closes the coordinator."""
        try:
            while True:
                try:
                    await self.sweep()
                except StoreError as error:
                    log.warning("two-phase commits cannot be seen to", error=type(error).__name__)
                await asyncio.sleep(self._settings.claim)
        except asyncio.CancelledError:
            await self.close()
            raise

    async def sweep(self) -> int:
        """Renews this owner's leases, and takes over what is abandoned; returns how many runs it took."""
        database = self._tools.database
        if self._drives:
            keys = [drive.held.key for drive in self._drives.values()]
            await database.run(lambda tx: self._store.renew(tx, keys), guarded=True)
        taken = await database.run(lambda tx: self._store.take(tx, self._settings.claim_at_once), guarded=True)
        for held in taken:
            log.info("two-phase commit taken over", key=held.key, phase=held.phase.value)
            if (action := self._actions.get(held.ref.name)) is not None and held.ref not in self._drives:
                drive = TwoPhaseDrive(action, held, self._tools)
                self._drive(drive, drive.take_over())
        return len(taken)

    async def close(self, grace: float = 0.0) -> None:
        """Lets the present runs go on for `grace` seconds, then leaves them to other coordinators."""
        self._closed = True
        tasks = list(self._tasks)
        if tasks and grace > 0:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._waiters.close()
        with suppress(StoreError):
            await self._tools.database.run(self._store.release)

    def _started(self, action: AtomicAction, held: TwoPhaseHeld) -> None:
        self._tools.faults.point(at.record_point(action.name, at.STARTED, at.AFTER))
        if not self._closed:
            drive = TwoPhaseDrive(action, held, self._tools)
            self._drive(drive, drive.go())

    def _drive(self, drive: TwoPhaseDrive, steps: Coroutine[Any, Any, None]) -> None:
        self._drives[drive.held.ref] = drive
        # An empty context, so that the task has neither the caller nor the deadline of the request that started it.
        task = asyncio.get_running_loop().create_task(self._go(drive, steps), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go(self, drive: TwoPhaseDrive, steps: Coroutine[Any, Any, None]) -> None:
        try:
            await steps
        except LeaseLost:
            log.info("two-phase commit decided by another process", key=drive.held.key)
        except Exception:
            # The lease runs out, and the coordinator that takes over reads the run from the database.
            log.exception("two-phase commit left", key=drive.held.key)
        finally:
            self._drives.pop(drive.held.ref, None)
            drive.stop()
