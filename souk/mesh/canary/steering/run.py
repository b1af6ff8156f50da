"""Takes one canary from state to state: each is recorded before what it means is done.

What is to be done in a state may be done again: a control plane that was killed in the midst of it does it once more.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from souk.kernel.clock import Clock
from souk.kernel.errors import SoukError
from souk.mesh.canary.ports import CanaryAlarms, CanaryTraffic, ShareRejected, VersionReadiness
from souk.mesh.canary.release import CanaryRelease
from souk.mesh.canary.steering.alarm_watch import AlarmWatch
from souk.mesh.canary.steering.reasons import advanced, share_text
from souk.mesh.canary.steering.record import CanaryDecision, CanaryRecord
from souk.mesh.canary.steering.states import FINAL, SHARING, CanaryEvent, CanaryState
from souk.mesh.canary.steering.step_watch import StepWatch
from souk.telemetry.logs import logger

STEP_EVERY = 1.0
"""Seconds between two looks at a canary: evidence may be asked as often as one likes."""
START_PATIENCE = 300.0
"""Seconds in which the instances of a version must be ready. Each control plane counts them anew, by no date."""
REFUSED_FOR = 20.0
"""Seconds in which it is tried again to start a version that cannot be started, counted likewise."""

_log = logger("souk.canary")


class RecordKeeper(Protocol):
    """Keeps records of canaries on the disk."""

    async def keep(self, record: CanaryRecord) -> None:
        """Writes a record; it is on the disk afterwards. Raises ConfigurationError when it cannot be written."""


@dataclass(frozen=True, slots=True)
class CanarySurroundings:
    """What a canary acts on, and what it is judged by."""

    traffic: CanaryTraffic
    alarms: CanaryAlarms
    keeper: RecordKeeper
    clock: Clock


class CanaryRun:
    """One canary, from its record on. `trouble` says what hinders it now; it is empty if nothing does."""

    def __init__(self, record: CanaryRecord, watch: StepWatch, surroundings: CanarySurroundings) -> None:
        self.record, self.watch, self.trouble = record, watch, ""
        self._traffic, self._keeper, self._clock = surroundings.traffic, surroundings.keeper, surroundings.clock
        self._alarms = AlarmWatch(surroundings.alarms, surroundings.clock)
        self._deciding, self._wake = asyncio.Lock(), asyncio.Event()
        self._started, self._routed = False, -1
        self._step_ends = self._hold_due = 0.0
        self._began = self._clock.monotonic()

    def restore(self) -> None:
        """Gives the version the share again that its record has, in the process of a new control plane.

        Before sidecars are served: otherwise they would get routes without the canary for a moment.
        """
        if self.record.state not in (CanaryState.PLANNED, *FINAL):
            self._traffic.restore(self.record.plan.release, self.record.share)

    async def run(self) -> None:
        """Takes the canary to its end."""
        try:
            while self.record.state not in FINAL:
                before = self.record
                self._wake.clear()
                await self.tick()
                if self.record is before:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), STEP_EVERY)
        finally:
            await self._alarms.close()

    async def tick(self) -> None:
        """Does what is to be done now. What fails is tried again with the next tick."""
        try:
            self.trouble = await self._act()
        except SoukError as error:
            if str(error) != self.trouble:
                _log.warning("a canary cannot go on", service=self._service, why=str(error))
            self.trouble = str(error)

    async def decide(self, event: CanaryEvent, why: str, operator: str = "", *, on: CanaryRecord | None = None) -> None:
        """Records a decision. With `on` only if that is the record still: an operator may have decided meanwhile.

        Raises IllegalTransition if it is not possible now, and ConfigurationError if it cannot be recorded.
        """
        async with self._deciding:
            if on is not None and on is not self.record:
                return
            now, figures = self._clock.now(), self.watch.figures()
            decision = CanaryDecision(now, event, self.record.share.percent, why, operator, figures)
            changed = replace(self.record.after(decision), evidence=self.watch.judge.evidence)
            try:
                await self._keeper.keep(changed)
            except SoukError as error:
                # A full disk must not keep a bad version in use: without a record, it is judged and rolled back again.
                if changed.state is not CanaryState.ROLLING_BACK:
                    raise
                _log.error("a rollback cannot be recorded", service=self._service, why=str(error))
            again = event is CanaryEvent.HELD and self.record.is_held
            self.record = changed
            self._wake.set()
        if not again:
            _log.info(
                "a canary was decided on", service=self._service, version=self._version, decision=str(event), why=why
            )

    @property
    def _service(self) -> str:
        return self.record.plan.release.service

    @property
    def _version(self) -> str:
        return self.record.plan.release.version

    async def _act(self) -> str:
        """Does what the state asks for. Returns what hinders it, though it goes on."""
        record = self.record
        release = record.plan.release
        if record.state is CanaryState.PLANNED:
            await self.decide(CanaryEvent.BEGUN, f"{release.version} is started", on=record)
        elif record.state is CanaryState.STARTING:
            await self._start(record)
        elif record.state in SHARING:
            return await self._share(record)
        elif record.state is CanaryState.PROMOTING:
            await self._traffic.adopt(release)
            await self.decide(CanaryEvent.ADOPTED, f"{release.version} is the baseline now", on=record)
        elif record.state is CanaryState.ROLLING_BACK:
            await self._traffic.remove(release)
            removed = CanaryEvent.REMOVED if record.used else CanaryEvent.REMOVED_UNUSED
            await self.decide(removed, f"every call goes to the baseline, and {release.version} is stopped", on=record)
        return ""

    async def _start(self, record: CanaryRecord) -> None:
        release, waited = record.plan.release, self._clock.monotonic() - self._began
        try:
            found = await self._readiness(release)
        except SoukError as error:
            if waited <= REFUSED_FOR:
                raise
            await self.decide(CanaryEvent.NOT_READY, f"it cannot be started: {error}", on=record)
            return
        if found.failed:
            await self.decide(CanaryEvent.NOT_READY, found.failed, on=record)
        elif found.ready >= release.instances:
            await self.decide(CanaryEvent.READY, f"{found.ready} ready", on=record)
        elif waited > START_PATIENCE:
            why = f"after {START_PATIENCE:.0f} s, {found.ready} of {release.instances} instances are ready"
            await self.decide(CanaryEvent.NOT_READY, why, on=record)

    async def _readiness(self, release: CanaryRelease) -> VersionReadiness:
        """Has instances of the version started, once in the life of this process, and says how they do."""
        if not self._started:
            await self._traffic.start(release)
            self._started = True
        return await self._traffic.readiness(release)

    async def _share(self, record: CanaryRecord) -> str:
        trouble = await self._keep_running(record)
        if record is not self.record:
            return ""
        if self._routed != record.step:
            try:
                await self._route(record)
            except ShareRejected as error:
                await self.decide(CanaryEvent.REJECTED, str(error), on=record)
                return ""
        self.watch.observe(record.share)
        if breaches := self.watch.judge.breaches():
            why = "; ".join(self.watch.breach_text(one) for one in breaches)
            await self.decide(CanaryEvent.BREACHED, why, on=record)
            return ""
        if not trouble:
            if raised := await self._alarms.raised(record):
                await self.decide(CanaryEvent.ALARMED, "; ".join(raised), on=record)
                return ""
            trouble = self._alarms.trouble
        if record is self.record and record.state is not CanaryState.PAUSED and not trouble:
            await self._weigh(record)
        return trouble

    async def _keep_running(self, record: CanaryRecord) -> str:
        """Has the version run, and turns back if it does not any more.

        Returns what hinders that: it is judged all the same when nobody says how its instances do.
        """
        release = record.plan.release
        try:
            found = await self._readiness(release)
        except SoukError as error:
            return str(error)
        if found.failed:
            await self.decide(CanaryEvent.CRASHED, found.failed, on=record)
        return ""

    async def _route(self, record: CanaryRecord) -> None:
        self.watch.observe(record.share)
        await self._traffic.route(record.plan.release, record.share)
        self._routed = record.step
        self.watch.begin_step()
        self._step_ends = self._hold_due = self._clock.monotonic() + record.plan.every

    async def _weigh(self, record: CanaryRecord) -> None:
        """Goes on with the next step, or promotes, if the step has lasted and was good; else holds."""
        now = self._clock.monotonic()
        if now < self._step_ends:
            return
        if hold := self.watch.hold(record):
            if now >= self._hold_due:
                self._hold_due = now + record.plan.every
                await self.decide(CanaryEvent.HELD, hold, on=record)
        elif record.is_last_step:
            await self.decide(CanaryEvent.PASSED, f"no rule was breached with {share_text(record.share)}", on=record)
        else:
            await self.decide(CanaryEvent.ADVANCED, advanced(record), on=record)
