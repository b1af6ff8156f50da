"""The controller of a fleet's canaries, in the process of its control plane."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, DomainError
from souk.kernel.state_machine import IllegalTransition
from souk.kernel.suggest import unknown
from souk.mesh.canary.ports import CanaryAlarms, CanaryObservations, CanaryTraffic
from souk.mesh.canary.steering.plan import CanaryPlan, checked_plan
from souk.mesh.canary.steering.record import CanaryRecord
from souk.mesh.canary.steering.run import CanaryRun, CanarySurroundings
from souk.mesh.canary.steering.states import FINAL, CanaryEvent, CanaryState
from souk.mesh.canary.steering.step_watch import StepWatch
from souk.mesh.canary.steering.store import CanaryStore
from souk.runtime.process.background import BackgroundTasks, supervised

UNKNOWN_CANARY, CANARY_UNDER_WAY, CANNOT_BE_DONE = "UNKNOWN_CANARY", "CANARY_UNDER_WAY", "CANNOT_BE_DONE"
_ACTIONS = {
    "promote": (CanaryEvent.PROMOTE, CanaryState.PROMOTING),
    "pause": (CanaryEvent.PAUSE, CanaryState.PAUSED),
    "resume": (CanaryEvent.RESUME, CanaryState.STEPPING),
    "abort": (CanaryEvent.ABORT, CanaryState.ROLLING_BACK),
}
"""What an operator may decide: its event, and the state in which it is the case already."""


class CanaryController:
    """Steers the canaries of `services`: one at a time of each. Every method that fails raises DomainError, with a
    reason of the contract `Canaries`."""

    def __init__(
        self,
        services: Iterable[str],
        store: CanaryStore,
        traffic: CanaryTraffic,
        observations: CanaryObservations,
        alarms: CanaryAlarms,
        clock: Clock,
    ) -> None:
        self._services = tuple(services)
        self._store, self._observations, self._clock = store, observations, clock
        self._traffic = traffic
        self._surroundings = CanarySurroundings(traffic, alarms, self, clock)
        self._records: dict[str, CanaryRecord] = {}
        self._runs: dict[str, CanaryRun] = {}
        self._writing, self._starting = asyncio.Lock(), asyncio.Lock()
        self._background: BackgroundTasks | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Goes on with what is recorded, and steers inside the block, which is to begin before sidecars are served.

        Raises ConfigurationError for a damaged file.
        """
        found = await asyncio.to_thread(self._store.read)
        self._records = {service: record.forgetting_values() for service, record in found.items()}
        if self._records != found:
            await asyncio.to_thread(self._store.write, tuple(self._records.values()))
        async with supervised(self._clock) as self._background:
            for record in self._records.values():
                self._run(record).restore()
            yield

    async def keep(self, record: CanaryRecord) -> None:
        """Writes a record; it is on the disk afterwards. Raises ConfigurationError when it cannot be written."""
        async with self._writing:
            changed = {**self._records, record.plan.release.service: record}
            await asyncio.to_thread(self._store.write, tuple(changed.values()))
            self._records = changed

    async def start(self, plan: CanaryPlan, operator: str) -> CanaryRun:
        """Begins a canary."""
        service = plan.release.service
        if service not in self._services:
            raise DomainError(UNKNOWN_CANARY, unknown("service", service, self._services))
        async with self._starting:
            self._require_none(service)
            try:
                checked_plan(plan)
                self._traffic.admit(plan.release)
            except ConfigurationError as error:
                raise DomainError(CANNOT_BE_DONE, str(error)) from None
            now = self._clock.now()
            record = CanaryRecord(plan, began=now, step_began=now, operator=operator)
            await self._keep_for_operator(record)
            return self._run(record)

    async def steer(self, service: str, action: str, operator: str, why: str) -> CanaryRun:
        """Carries out what an operator decides. What is the case already changes nothing."""
        if action not in _ACTIONS:
            raise DomainError(CANNOT_BE_DONE, unknown("action", action, _ACTIONS))
        run = self.run_of(service)
        event, already = _ACTIONS[action]
        state = run.record.state
        if state is already or (event is CanaryEvent.RESUME and state is CanaryState.HOLDING):
            return run
        try:
            await run.decide(event, why or f"{action} was asked for", operator)
        except IllegalTransition:
            raise DomainError(CANNOT_BE_DONE, _impossible(run.record, action)) from None
        except ConfigurationError as error:
            raise DomainError(CANNOT_BE_DONE, str(error)) from None
        return run

    def run_of(self, service: str) -> CanaryRun:
        """Gives the last canary of a service."""
        if service in self._runs:
            return self._runs[service]
        if service not in self._services:
            raise DomainError(UNKNOWN_CANARY, unknown("service", service, self._services))
        begin = f"souk canary start {service} --version VERSION"
        raise DomainError(UNKNOWN_CANARY, f"{service} has no canary; begin one with `{begin}`")

    def runs(self) -> tuple[CanaryRun, ...]:
        """Gives the last canary of each service that has had one, by name."""
        return tuple(self._runs[name] for name in sorted(self._runs))

    def _run(self, record: CanaryRecord) -> CanaryRun:
        service = record.plan.release.service
        run = CanaryRun(record, StepWatch(record, self._observations), self._surroundings)
        self._runs[service] = run
        if record.state not in FINAL and self._background is not None:
            self._background.start(f"canary of {service} of {record.began}", run.run)
        return run

    def _require_none(self, service: str) -> None:
        run = self._runs.get(service)
        if run is not None and run.record.state not in FINAL:
            version, state = run.record.plan.release.version, run.record.state
            raise DomainError(
                CANARY_UNDER_WAY,
                f"a canary of {service} is under way: {version} is {state}; wait for its end, or end it with "
                f"`souk canary abort {service}`",
            )

    async def _keep_for_operator(self, record: CanaryRecord) -> None:
        try:
            await self.keep(record)
        except ConfigurationError as error:
            raise DomainError(CANNOT_BE_DONE, str(error)) from None


def _impossible(record: CanaryRecord, action: str) -> str:
    release = record.plan.release
    done = {"promote": "promoted", "pause": "paused", "resume": "resumed", "abort": "aborted"}[action]
    return f"{release.version} of {release.service} is {record.state}, and cannot be {done} now"
