"""Drives one run of a two-phase commit to its end: makes the calls that the machine asks for, records the decision."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

import structlog
from google.protobuf.message import Message

from souk.faults import Faults
from souk.kernel.clock import Clock
from souk.kernel.context import CallContext, acting_as, use
from souk.kernel.errors import Outcome, StoreUnavailable, VersionConflict
from souk.saga.definition import Refusal, StepCall
from souk.saga.driving.step_call import ask
from souk.saga.run import StepAnswer
from souk.saga.settings import SagaSettings
from souk.saga.store import CHANNEL, SagaOutcome, SagaProgress
from souk.store.database import Database, Transaction, Work
from souk.telemetry.tracing.tracer import Tracer
from souk.two_phase_commit import fault_points as at
from souk.two_phase_commit import machine
from souk.two_phase_commit.definition import AtomicAction, Branch
from souk.two_phase_commit.machine import ABANDONED, TwoPhase
from souk.two_phase_commit.spans import note_vote, traced_drive, traced_participation
from souk.two_phase_commit.store import TwoPhaseHeld, TwoPhaseStore, progress_of

log = structlog.get_logger("souk.two_phase_commit")

Participation = Callable[[StepCall], Awaitable[Message | None]]


@dataclass(frozen=True, slots=True)
class TwoPhaseTools:
    """The dependencies that all drives of a coordinator share. `settings` are those of sagas; `tracer` records them."""

    database: Database
    store: TwoPhaseStore
    clock: Clock
    service: str
    settings: SagaSettings
    faults: Faults
    tracer: Tracer | None = None
    chance: random.Random = field(default_factory=random.Random)


class TwoPhaseDrive:
    """One run, driven by this process. `progress` is what is recorded."""

    def __init__(self, action: AtomicAction, held: TwoPhaseHeld, tools: TwoPhaseTools) -> None:
        self.held = held
        self.decided, self.stopped = asyncio.Event(), asyncio.Event()
        self.progress: SagaProgress = progress_of(held.phase, held.refusal, ended=False)
        self._action, self._tools = action, tools
        self._run = machine.begin(len(action.branches))

    async def go(self) -> None:
        """Drives a run from its start. Raises LeaseLost when somebody else has aborted it meanwhile."""
        with self._traced(resumed=False):
            await self._prepare()
            if self._run.commits:
                await self._record_decision()
            else:
                # Presumed abort: locks go before anything is recorded. Nobody but this task could decide to commit.
                await self._end_once()
                await self._record_abort()
            await self._end()

    async def take_over(self) -> None:
        """Goes on with a run that another process has left. An abort is recorded first: after that the other process
        cannot decide to commit, if it is still alive."""
        self._run = machine.taken_over(self.held.phase, len(self._action.branches), self.held.refusal)
        with self._traced(resumed=True):
            if self.held.phase is TwoPhase.PREPARING:
                await self._record_abort()
            await self._end()

    @contextmanager
    def _traced(self, *, resumed: bool) -> Iterator[None]:
        context = CallContext(traceparent=self.held.traceparent, tracestate=self.held.tracestate)
        with use(context), traced_drive(self._tools.tracer, self.held, resumed=resumed):
            yield

    def stop(self) -> None:
        """Wakes all waiters, as this drive makes no more progress."""
        self.stopped.set()
        self.decided.set()

    async def _prepare(self) -> None:
        until = self._tools.clock.monotonic() + self._tools.settings.lease / 2
        while (index := self._run.to_prepare) is not None:
            branch = self._action.branches[index]
            limit = min(branch.timeout, until - self._tools.clock.monotonic())
            self._run = machine.asked(self._run, index)
            answer = await self._ask(branch, at.PREPARE, branch.prepare, limit)
            self._run = machine.voted(self._run, index, answer)

    async def _record_decision(self) -> None:
        async def decide(tx: Transaction) -> None:
            if await self._tools.store.decide(tx, self.held):
                await self._action.decided(tx, self._call())
                await tx.notify(CHANNEL)
            self._strike(at.DECIDED, at.BEFORE)

        await self._record(decide)
        self._strike(at.DECIDED, at.AFTER)
        self._now(replace(self.progress, outcome=SagaOutcome.COMMITTED))

    async def _record_abort(self) -> None:
        refusal = self._run.refusal or Refusal("", ABANDONED)

        async def abort(tx: Transaction) -> None:
            if await self._tools.store.abort(tx, self.held, refusal):
                await self._action.aborted(tx, self._call(), refusal)
                await tx.notify(CHANNEL)
            if self._run.ended and await self._tools.store.end(tx, self.held, self._run.phase):
                await self._action.ended(tx, self._call())
            self._strike(at.ABORTED, at.BEFORE)

        ended = self._run.ended
        await self._record(abort)
        self._strike(at.ABORTED, at.AFTER)
        self._now(SagaProgress(SagaOutcome.REJECTED, refusal, ended=ended))

    async def _end(self) -> None:
        """Ends every branch, which may take for ever, and records that nothing is left to do.

        Once no branch is left but those whose participants refuse it for good, these are recorded for an operator.
        """
        for tries in count(1):
            if self.progress.ended:
                return
            refused = await self._end_once()
            if self._run.ended:
                break
            if self._is_stuck(refused, tries):
                await self._park(refused, tries)
                return
            await asyncio.sleep(self._tools.settings.pause_after(tries, self._tools.chance))

        async def end(tx: Transaction) -> None:
            if await self._tools.store.end(tx, self.held, self._run.phase):
                await self._action.ended(tx, self._call())
                await tx.notify(CHANNEL)
            self._strike(at.ENDED, at.BEFORE)

        await self._record(end)
        self._strike(at.ENDED, at.AFTER)
        self._now(replace(self.progress, ended=True))

    async def _end_once(self) -> dict[int, Refusal]:
        """Asks each branch that is left to commit or to roll back, all at once; a failure is for the next try.

        Returns the refusals, by the index of the branch.
        """
        left = self._run.to_end
        tasks = [asyncio.create_task(self._end_branch(index)) for index in left]
        try:
            refusals = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return {index: refusal for index, refusal in zip(left, refusals, strict=True) if refusal is not None}

    async def _end_branch(self, index: int) -> Refusal | None:
        branch, commits = self._action.branches[index], self._run.commits
        what, call = (at.COMMIT, branch.commit) if commits else (at.ROLL_BACK, branch.roll_back)
        answer = await self._ask(branch, what, call, branch.timeout)
        if answer.outcome is Outcome.DONE:
            self._run = machine.acknowledged(self._run, index)
            return None
        reason = answer.refusal.reason if answer.refusal else ""
        log.warning("branch not ended yet", key=self.held.key, branch=branch.name, what=what, reason=reason)
        return answer.refusal if answer.outcome is Outcome.REFUSED else None

    def _is_stuck(self, refused: Mapping[int, Refusal], tries: int) -> bool:
        """Tells whether all that is left is refused, and would be again. A branch that cannot be reached is no such."""
        exhausted = tries >= self._tools.settings.park_after
        return all(index in refused and (exhausted or refused[index].final) for index in self._run.to_end)

    async def _park(self, refused: Mapping[int, Refusal], tries: int) -> None:
        reasons = {self._action.branches[index].name: refusal.reason for index, refusal in refused.items()}

        async def park(tx: Transaction) -> None:
            await self._tools.store.park(tx, self.held, reasons, tries)

        await self._record(park)
        log.error("two-phase commit parked", key=self.held.key, phase=self._run.phase.value, reasons=reasons)
        self._now(replace(self.progress, parked=True))

    async def _ask(self, branch: Branch, what: str, call: Participation, limit: float) -> StepAnswer:
        tools = self._tools
        tools.faults.point(at.call_point(self._action.name, branch.name, what, at.BEFORE))
        deadline = tools.clock.monotonic() + limit
        with traced_participation(tools.tracer, self.held, branch.name, what) as span:
            with acting_as(tools.service, on_behalf_of=self.held.on_behalf_of, deadline=deadline, one_try=True):
                answer = await ask(branch.name, call(self._call()), limit)
            note_vote(span, what, answer)
        tools.faults.point(at.call_point(self._action.name, branch.name, what, at.AFTER))
        return answer

    async def _record(self, work: Work[None]) -> None:
        """Runs a transaction of the coordinator until it commits. Raises LeaseLost, and what a hook raises for good:
        then the run is left, and whoever takes it over aborts it, unless it is decided."""
        conflicts = 0
        for tries in count(1):
            try:
                await self._tools.database.run(work, guarded=True)
            except VersionConflict:
                conflicts += 1
                if conflicts > self._tools.settings.conflict_tries:
                    raise
            except StoreUnavailable as error:
                log.warning("two-phase commit not recorded yet", key=self.held.key, tries=tries, error=str(error))
                await asyncio.sleep(self._tools.settings.pause_after(tries, self._tools.chance))
            else:
                return

    def _call(self) -> StepCall:
        held, names = self.held, [branch.name for branch in self._action.branches]
        results = dict(zip(names, self._run.results, strict=True))
        return StepCall(held.ref, held.key, held.input, held.on_behalf_of, results)

    def _strike(self, what: str, when: str) -> None:
        self._tools.faults.point(at.record_point(self._action.name, what, when))

    def _now(self, progress: SagaProgress) -> None:
        self.progress = progress
        self.decided.set()
