"""Lists and retries what is parked in the databases of a system, for an operator.

A fleet may run meanwhile, and must if PostgreSQL is its own; SQLite files must not be in use.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from souk.admin.event_lag import ConsumerLag, in_outboxes
from souk.admin.opened_databases import opened_databases
from souk.events import parked_store, relay
from souk.events.parked_store import EventRecord, ParkedDecision
from souk.kernel.clock import Clock
from souk.runtime.config.settings import DataSettings
from souk.runtime.service import Service
from souk.saga.definition import SagaRef
from souk.saga.operator import parked
from souk.saga.operator.actions import ActionRequest, RunAction, act
from souk.saga.states import StepState
from souk.store.database import Database, Transaction
from souk.two_phase_commit.parked import parked_branches, retry_parked_branches

MOST = 10_000
"""Steps, and events, of a service that are listed, the oldest first."""


@dataclass(frozen=True, slots=True)
class ParkedStepView:
    """A saga's step, or with `undo` its undo; or the commit, or with `undo` the roll-back, of a branch of a two-phase
    commit. `since` is in microseconds. All parked steps of a run share `id`."""

    service: str
    id: str
    saga: str
    subject: str
    attempt: int
    step: str
    undo: bool
    tries: int
    reason: str
    since: int


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """An event of `service` that `consumer` ("service/consumer") could not handle; `since` is in microseconds.

    Events of one `digest` failed in one way at `location`, a line of code.
    """

    service: str
    id: str
    consumer: str
    type: str
    key: str
    tries: int
    reason: str
    since: int
    digest: str
    location: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """An event of `service`, parked for `reason`, that `by` discarded `at` that time, in microseconds."""

    service: str
    id: str
    consumer: str
    type: str
    key: str
    reason: str
    by: str
    why: str
    at: int


Parked = ParkedStepView | ParkedEvent


class Parking:
    """What is parked in the databases of services, by name; `at_work` if the system may run meanwhile."""

    def __init__(self, databases: dict[str, Database], at_work: bool) -> None:
        self._databases, self.at_work = databases, at_work

    async def all(self, limit: int = MOST) -> list[Parked]:
        """Lists what is parked, service by service, steps before events, the oldest first: of each at most `limit`."""
        found: list[Parked] = []
        for service, database in self._databases.items():
            steps = await database.read(partial(_parked_steps, limit=limit))
            found += [_step(service, step) for step in steps]
            found += [_event(service, event) for event in await relay.parked(database, limit)]
        return found

    async def events(self) -> list[ParkedEvent]:
        """Lists the parked events, service by service, the oldest first."""
        return [one for one in await self.all() if isinstance(one, ParkedEvent)]

    async def lag(self) -> list[ConsumerLag]:
        """Lists the consumers that are behind, service by service."""
        return await in_outboxes(self._databases)

    async def event(self, event_id: str) -> EventRecord | None:
        """Gets an event with whom it is parked for and what was decided; None if no outbox has it."""
        for database in self._databases.values():
            if record := await database.read(lambda tx: parked_store.event_record(tx, event_id)):
                return record
        return None

    async def replay(self, them: Iterable[ParkedEvent], decision: ParkedDecision) -> None:
        """Sends events again, each to its consumer alone."""
        for one in them:
            await relay.replay(self._databases[one.service], one.id, one.consumer, decision)

    async def edit(self, them: Sequence[parked_store.Parked], payload: bytes, decision: ParkedDecision) -> None:
        """Sends an event again with another payload, to all of these consumers or to none.

        Raises LookupError if it is not parked any more as they say.
        """
        for database in self._databases.values():
            if await database.read(lambda tx: parked_store.event_record(tx, them[0].event.id)):
                return await relay.edit(database, them, payload, decision)
        raise LookupError(f"{them[0].event.id} is not kept any more")

    async def discard(self, them: Iterable[ParkedEvent], decision: ParkedDecision) -> None:
        """Decides that their consumers never get these events, which are kept."""
        for one in them:
            await relay.discard(self._databases[one.service], one.id, one.consumer, decision)

    async def discarded(self) -> list[Discarded]:
        """Lists what was discarded, service by service, the oldest first."""
        found: list[Discarded] = []
        for service, database in self._databases.items():
            refused = await database.read(lambda tx: parked_store.discarded(tx, MOST))
            found += [_discarded(service, one) for one in refused]
        return found

    async def retry(self, them: Iterable[Parked], decision: ParkedDecision) -> None:
        """Lets these be tried again, as soon as the system runs: their count of tries begins at zero."""
        done: set[tuple[str, str]] = set()
        for one in them:
            if (one.service, one.id) in done:
                continue
            done.add((one.service, one.id))
            database = self._databases[one.service]
            if isinstance(one, ParkedStepView):
                ref = SagaRef(one.saga, one.subject, one.attempt)
                await database.run(partial(_retry_steps, ref=ref, decision=decision))
            else:
                await relay.replay(database, one.id, None, decision)


async def _parked_steps(tx: Transaction, limit: int) -> list[parked.ParkedStep]:
    return [*await parked.parked_steps(tx, limit), *await parked_branches(tx, limit)]


async def _retry_steps(tx: Transaction, ref: SagaRef, decision: ParkedDecision) -> None:
    """Lets the parked steps of a run be tried again: of a two-phase commit, or of a saga."""
    if not await retry_parked_branches(tx, ref):
        await act(tx, ref, ActionRequest(RunAction.RETRY, decision.by, decision.why))


def _step(service: str, step: parked.ParkedStep) -> ParkedStepView:
    name, subject, attempt = step.ref.name, step.ref.subject, step.ref.attempt
    undo = step.state is StepState.UNDO_PARKED
    run_id = f"{name}:{subject}:{attempt}"
    return ParkedStepView(service, run_id, name, subject, attempt, step.step, undo, step.tries, step.note, step.since)


def _event(service: str, parked: parked_store.Parked) -> ParkedEvent:
    event = parked.event
    why = (parked.failures, parked.cause.reason, parked.since, parked.cause.digest, parked.cause.location)
    return ParkedEvent(service, event.id, parked.consumer, event.type, event.key, *why)


def _discarded(service: str, one: parked_store.RefusedEvent) -> Discarded:
    by = (one.decision.by, one.decision.why, one.at)
    return Discarded(service, one.id, one.consumer, one.type, one.key, one.reason, *by)


@asynccontextmanager
async def parking(
    settings: DataSettings, topology: str, services: Iterable[Service], clock: Clock
) -> AsyncIterator[Parking]:
    """Gives what is parked in the databases of a system, which are opened inside the block.

    Raises ConfigurationError, in one line, when one cannot be used.
    """
    async with opened_databases(settings, topology, services, clock) as (databases, at_work):
        yield Parking(databases, at_work)
