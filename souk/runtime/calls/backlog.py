"""Counts the open sagas and undelivered events of this process's services for `/metrics`, and logs what is parked.

    souk_saga_runs{service, saga, phase}            open runs, also of two-phase commit; `parked` waits for an operator
    souk_outbox_lag_seconds{service, consumer}      age of the oldest event not yet delivered to a consumer
    souk_outbox_events{service, consumer, state}    events `pending` and `parked`
    souk_broker_events{service, consumer, topic}    events that a broker still has for a consumer of this process

A scrape does not query a database: it shows what a background task counted last.
"""

import asyncio
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry

from souk.events.broker import BrokerUnavailable
from souk.events.pubsub.subscriber import Subscriber
from souk.events.relay import Relay
from souk.kernel.errors import StoreError
from souk.saga.operator.parked import ParkedStep
from souk.telemetry.logs import logger
from souk.telemetry.metrics import Sample, measure

EVERY = 5.0
"""Seconds between two counts."""
MOST_NAMED = 100
"""Parked steps and events of a service that are named in the log; all of them are counted."""

_log = logger("hosting")


class RunRecords(Protocol):
    """The records of runs, of sagas or of two-phase commits."""

    async def counts(self) -> Mapping[tuple[str, str], int]:
        """Counts the open runs by name and phase."""
        ...

    async def parked(self, limit: int) -> Sequence[ParkedStep]:
        """Returns the steps that wait for an operator, the oldest run first."""
        ...


@dataclass(slots=True)
class BacklogSnapshot:
    """The latest counts of one service."""

    runs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    lag: Mapping[str, float] = field(default_factory=dict)
    events: Mapping[tuple[str, str], int] = field(default_factory=dict)
    parked: frozenset[Hashable] = frozenset()


@dataclass(frozen=True, slots=True)
class BrokerCount:
    """What a broker has for a consumer ("service/consumer") of a topic; None `events` while it does not say it.

    `note` says what is counted, or why nothing is.
    """

    consumer: str
    topic: str
    events: int | None
    note: str


class Backlog:
    """Shows in `registry` the open sagas and undelivered events of the services that are watched."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._snapshots: dict[str, BacklogSnapshot] = {}
        self._at_broker: dict[str, Sequence[BrokerCount]] = {}
        gauges = (
            ("souk_saga_runs", "Open runs of sagas.", ("saga", "phase"), self._runs),
            ("souk_outbox_lag_seconds", "Age of the oldest event that is due.", ("consumer",), self._lag),
            ("souk_outbox_events", "Events that a consumer has not had.", ("consumer", "state"), self._events),
            ("souk_broker_events", "Events that a broker has for a consumer.", ("consumer", "topic"), self._broker),
        )
        for name, text, labels, read in gauges:
            measure(registry, name, text, ("service", *labels), read)

    async def watch(self, service: str, relay: Relay, runs: Sequence[RunRecords], every: float = EVERY) -> None:
        """Counts a service's open runs and undelivered events every `every` seconds, until it is cancelled."""
        snapshot = self._snapshots.setdefault(service, BacklogSnapshot())
        while True:
            try:
                await self._count(service, snapshot, relay, runs)
            except StoreError as error:
                _log.warning("what waits cannot be counted", service=service, error=str(error))
            await asyncio.sleep(every)

    async def watch_broker(self, service: str, subscribers: Sequence[Subscriber], every: float = EVERY) -> None:
        """Counts what the broker still has for a service's consumers, until it is cancelled.

        What is not known, while the broker is unavailable, is not shown.
        """
        while True:
            try:
                self._at_broker[service] = [
                    BrokerCount(one.group, topic, events, one.backlog_means)
                    for one in subscribers
                    for topic, events in (await one.backlog()).items()
                ]
            except BrokerUnavailable as error:
                why = f"the broker does not say it: {error}"
                self._at_broker[service] = [
                    BrokerCount(one.group, topic, None, why) for one in subscribers for topic in one.topics
                ]
                _log.warning("what waits at the broker cannot be counted", service=service, error=str(error))
            await asyncio.sleep(every)

    def at_broker(self) -> Sequence[BrokerCount]:
        """Gives what the broker said last of each consumer of this process; nothing without a broker."""
        return [one for found in self._at_broker.values() for one in found]

    async def _count(self, service: str, snapshot: BacklogSnapshot, relay: Relay, runs: Sequence[RunRecords]) -> None:
        snapshot.lag, snapshot.events = await relay.lag(), await relay.counts()
        parked: dict[Hashable, dict[str, object]] = {}
        for event in await relay.parked(MOST_NAMED):
            key = event.consumer, event.event.id
            parked[key] = {"consumer": key[0], "event_id": key[1], "reason": event.cause.reason}
        counted: Counter[tuple[str, str]] = Counter()
        for records in runs:
            counted.update(await records.counts())
            for step in await records.parked(MOST_NAMED):
                ref = {"saga": step.ref.name, "subject": step.ref.subject, "attempt": step.ref.attempt}
                parked[step.ref, step.step] = {**ref, "step": step.step, "reason": step.note}
        snapshot.runs = counted
        for new in parked.keys() - snapshot.parked:
            _log.warning("parked: waits for an operator; see `souk parked`", service=service, **parked[new])
        snapshot.parked = frozenset(parked)

    def _runs(self) -> Iterator[Sample]:
        for service, snapshot in self._snapshots.items():
            for (saga, phase), runs in snapshot.runs.items():
                yield {"service": service, "saga": saga, "phase": phase}, runs

    def _lag(self) -> Iterator[Sample]:
        for service, snapshot in self._snapshots.items():
            for consumer, seconds in snapshot.lag.items():
                yield {"service": service, "consumer": consumer}, seconds

    def _events(self) -> Iterator[Sample]:
        for service, snapshot in self._snapshots.items():
            for (consumer, state), events in snapshot.events.items():
                yield {"service": service, "consumer": consumer, "state": state}, events

    def _broker(self) -> Iterator[Sample]:
        for service, found in self._at_broker.items():
            for one in found:
                if one.events is not None:
                    yield {"service": service, "consumer": one.consumer, "topic": one.topic}, one.events
