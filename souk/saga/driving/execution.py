"""Drives one run of a saga to its end: makes the calls that the machine asks for, and records their answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count

import structlog
from google.protobuf.message import Message

from souk.kernel.context import CallContext, acting_as, use
from souk.kernel.errors import LeaseLost, Outcome, StoreUnavailable, VersionConflict
from souk.rpc.metadata import read_releases, releases_text
from souk.saga import machine
from souk.saga.definition import Saga, StepCall
from souk.saga.driving.hooks import Tools, run_hooks, step_call, to_rest
from souk.saga.driving.spans import note_answer, traced_drive, traced_step
from souk.saga.driving.step_call import ask
from souk.saga.fault_points import AFTER, BEFORE, DO, RECORDED, UNDO, UNDONE, point
from souk.saga.run import Decision, Held, Run, StepAnswer
from souk.saga.states import Phase, StepState
from souk.saga.store import SagaOutcome, SagaProgress, progress_of
from souk.saga.waiting import rest
from souk.store.database import Transaction

log = structlog.get_logger("souk.saga")

Participant = Callable[[StepCall], Awaitable[Message | None]]


class SagaExecution:
    """One run, driven by the owner of its lease. The run is kept in memory; the lease's epoch guards every write."""

    def __init__(self, saga: Saga, held: Held, tools: Tools) -> None:
        self.held = held
        self.run, self._revision = held.run, held.revision
        self.decided, self.stopped = asyncio.Event(), asyncio.Event()
        self._saga, self._tools = saga, tools
        self._deadline = tools.clock.monotonic() + held.remaining
        self._written_at = tools.clock.monotonic()
        self._lock, self._met = asyncio.Lock(), read_releases(held.releases)
        self.fresh = True
        """Whether it is driven, and has not yet paused between two tries."""
        self._wake_waiters()

    @property
    def progress(self) -> SagaProgress:
        """The committed progress of the run."""
        return progress_of(self.run)

    @property
    def silent_for(self) -> float:
        """Seconds since the lease was last extended."""
        return self._tools.clock.monotonic() - self._written_at

    def renewed(self) -> None:
        """Notes that the lease was extended, by this execution or by its runner."""
        self._written_at = self._tools.clock.monotonic()

    async def go(self) -> None:
        """Drives the run until it has ended or waits, or until only parked steps are left. Raises LeaseLost."""
        held = self.held
        context = CallContext(traceparent=held.traceparent, tracestate=held.tracestate, releases=self._met)
        with use(context), traced_drive(self._tools.tracer, held):
            if self.held.asked:
                await self._obey(json.loads(self.held.asked))
            if self.run.awaiting is not None and self.run.awaiting == self.held.run.awaiting:
                await self._end_wait(self.run.awaiting)
            while self.run.active:
                if len(self.run.to_do) == 1:
                    await self._forward(*self.run.to_do)
                elif self.run.to_do:
                    await self._forward_together(self.run.to_do)
                else:
                    await self._back(self.run.to_undo)

    def stop(self) -> None:
        """Wakes all waiters, as this execution makes no more progress."""
        self.fresh = False
        self.stopped.set()
        self.decided.set()

    async def _obey(self, asked: Mapping[str, str]) -> None:
        """Does first what an operator asked of the run, in the transaction that forgets it."""
        if asked["action"] == "compensate":
            decide = partial(machine.compensated, self._saga, why=asked["why"])
        else:
            decide = partial(machine.resolved, self._saga, step=asked["step"], late=self._late())
        await self._write(None, decide)

    async def _end_wait(self, index: int) -> None:
        """Goes on with the message of a step that waits, or because its time is over; otherwise lets it wait on."""
        news = self.held.news
        if news is None or (news.message is None and not news.due):
            await self._tools.database.run(partial(rest.put_back, ref=self.held.ref, epoch=self.held.epoch))
            return
        message, due, late = news.message, news.due, self._late()

        def decide(run: Run) -> Decision:
            try:
                return machine.woken(self._saga, run, index, message, due=due, late=late)
            except Exception as error:
                return self._parked(index, error, 1)

        await self._write(index, decide, RECORDED)

    async def _forward(self, index: int) -> None:
        if self._late():
            await self._write(index, lambda run: machine.deadline_passed(self._saga, run))
            return
        answer = await self._try(index)
        late, tries_exhausted = self._late(), self._tries_exhausted(index, answer)
        decide = partial(
            machine.answered, self._saga, index=index, answer=answer, late=late, tries_exhausted=tries_exhausted
        )
        await self._write(index, decide, RECORDED)
        if index in self.run.to_do:
            await self._pause(self.run.steps[index].tries)

    async def _forward_together(self, indexes: tuple[int, ...]) -> None:
        """Drives steps beside each other until each is done or parked, or one of them has turned the run back.

        A call that is under way then is waited for, and its answer decides nothing: its undo follows.
        """
        try:
            async with asyncio.TaskGroup() as steps:
                for index in indexes:
                    steps.create_task(self._forward_while_asked(index))
        except* LeaseLost as lost:
            raise lost.exceptions[0] from None

    async def _forward_while_asked(self, index: int) -> None:
        while index in self.run.to_do:
            await self._forward(index)

    async def _back(self, indexes: tuple[int, ...]) -> None:
        """Undoes all steps at once, so that an undo that cannot be sent delays no other."""
        try:
            async with asyncio.TaskGroup() as undos:
                for index in indexes:
                    undos.create_task(self._undo(index))
        except* LeaseLost as lost:
            raise lost.exceptions[0] from None

    async def _undo(self, index: int) -> None:
        while self.run.steps[index].state is StepState.UNDOING:
            answer = await self._try_undo(index)
            if answer.outcome is Outcome.DONE:
                await self._write(index, lambda run: machine.undone(self._saga, run, index), UNDONE)
                return
            exhausted = self._tries_exhausted(index, answer)
            decide = partial(machine.undo_failed, self._saga, index=index, answer=answer, tries_exhausted=exhausted)
            await self._write(index, decide)
            if not exhausted:
                await self._pause(self.run.steps[index].tries)

    async def _try(self, index: int) -> StepAnswer:
        step = self._saga.steps[index]
        assert step.do is not None, "the machine asks for no local step"
        limit = min(step.try_timeout, self._left()) if self.run.phase is Phase.RUNNING else step.try_timeout
        return await self._ask(index, DO, step.do, limit)

    async def _try_undo(self, index: int) -> StepAnswer:
        step = self._saga.steps[index]
        assert step.undo is not None, "the machine undoes no step that has no undo"
        return await self._ask(index, UNDO, step.undo, step.try_timeout)

    def _tries_exhausted(self, index: int, answer: StepAnswer) -> bool:
        return machine.exhausts_tries(self.run, index, answer, self._tools.settings.park_after)

    async def _ask(self, index: int, what: str, call: Participant, limit: float) -> StepAnswer:
        name, tools = self._saga.steps[index].name, self._tools
        tools.faults.point(point(self._saga.name, name, what, BEFORE))
        if self.silent_for >= tools.settings.lease:
            # The event loop stood still, or the leases were not renewed: another owner may drive this run.
            if not await tools.database.run(lambda tx: tools.store.renew(tx, self.held)):
                raise LeaseLost(f"{self.held.ref} is in other hands")
            self.renewed()
        deadline, tries = tools.clock.monotonic() + limit, self.run.steps[index].tries
        with traced_step(tools.tracer, self.held, name, what, tries) as span:
            with acting_as(tools.service, on_behalf_of=self.held.on_behalf_of, deadline=deadline, one_try=True):
                answer = await ask(name, call(step_call(self._saga, self.held, self.run, index)), limit)
            note_answer(span, what, answer)
        tools.faults.point(point(self._saga.name, name, what, AFTER))
        return answer

    async def _write(self, index: int | None, decide: Callable[[Run], Decision], result: str = "") -> None:
        """Records a decision about a step, or with None about the run; `result` names fault points. Raises LeaseLost.

        A participant's answer is never dropped: the transaction is run until it commits. If a hook
        fails too often, the step is parked instead; a retry calls the participant again, with the same key.
        What an operator asked is then not done.
        """
        about = (index, result) if result and index is not None else None
        async with self._lock:
            decision, failures = decide(self.run), 0
            if index is not None and decision == Decision(self.run):
                return  # a step beside this one has turned the run back
            for tries in count(1):
                try:
                    work = partial(self._record, decision=decision, about=about)
                    await self._tools.database.run(work, guarded=True, grouped=True)
                    break
                except LeaseLost:
                    raise
                except StoreUnavailable as error:
                    log.warning("saga result not recorded yet", saga=self.held.ref.name, tries=tries, error=str(error))
                    await self._back_off(tries)
                except Exception as error:
                    # An unavailable database says nothing about the write: only these failures count.
                    failures += 1
                    if failures >= self._tools.settings.park_after:
                        decision = self._parked(index, error, failures)
                    await self._after_failed_write(error, failures)
            self.run, self._revision = decision.run, self._revision + 1
            self.renewed()
            self._wake_waiters()
        self._strike(decision, about, AFTER)

    def _parked(self, index: int | None, error: Exception, tries: int) -> Decision:
        if index is None:
            log.error(
                "saga left as it is", saga=self.held.ref.name, subject=self.held.ref.subject, asked=self.held.asked
            )
            return Decision(self.run)
        ref, step, note = self.held.ref, self._saga.steps[index].name, f"not recorded: {type(error).__name__}"
        log.error("saga step parked", saga=ref.name, subject=ref.subject, step=step, reason=note)
        return machine.not_recorded(self._saga, self.run, index, note, tries=tries)

    async def _after_failed_write(self, error: Exception, failures: int) -> None:
        if isinstance(error, VersionConflict) and failures <= self._tools.settings.conflict_tries:
            return
        log.error("saga result not recorded yet", saga=self.held.ref.name, failures=failures, exc_info=error)
        await self._back_off(failures)

    async def _back_off(self, tries: int) -> None:
        await asyncio.sleep(self._tools.settings.pause_after(tries, self._tools.chance))

    async def _record(self, tx: Transaction, decision: Decision, about: tuple[int, str] | None) -> None:
        # The lease is checked first, so that an owner that lost it runs no hook.
        met = releases_text(self._met)
        if await self._tools.store.record(tx, self.held, self._revision, self.run, decision.run, met):
            soon = self._tools.settings.claim
            await to_rest(tx, self._saga, self.held, self.run, decision.run, soon)
            await run_hooks(tx, self._saga, self.held, decision)
        self._strike(decision, about, BEFORE)

    def _strike(self, decision: Decision, about: tuple[int, str] | None, when: str) -> None:
        if not self._tools.faults.armed:
            return
        indexes = [(index, RECORDED) for index in decision.records] or ([about] if about else [])
        for index, what in indexes:
            self._tools.faults.point(point(self._saga.name, self._saga.steps[index].name, what, when))

    async def _pause(self, tries: int) -> None:
        pause = self._tools.settings.pause_after(tries, self._tools.chance)
        if self.run.phase is Phase.RUNNING:
            pause = min(pause, max(self._left(), 0.0))
        self.fresh = False
        await asyncio.sleep(pause)

    def _left(self) -> float:
        return self._deadline - self._tools.clock.monotonic()

    def _late(self) -> bool:
        """Whether the deadline has passed; it counts only before the pivot."""
        return self.run.phase is Phase.RUNNING and self._left() <= 0

    def _wake_waiters(self) -> None:
        if self.progress.outcome is not SagaOutcome.RUNNING:
            self.decided.set()
