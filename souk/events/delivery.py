"""Delivers events from the outbox to one consumer. A delivery that is stuck delays no other.

Order is kept for each key: when an event must be sent again, its partition waits, for this consumer, until that
event is delivered or parked; the other partitions go on meanwhile.

While a batch that was delivered is being recorded, the next one is sent. If the first cannot be recorded, the second is
not: both are sent again, in order.

A consumer that waits after a parked event is sent one event of a key at a time: only once the outbox says that it is
not parked may the next one leave. Later events of a key wait until the parked one is replayed or discarded.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random

from soukapi.v1.event_pb2 import DeliveryResult

from souk.events import store
from souk.events.causes import Cause
from souk.events.leases import Leases
from souk.events.sender import EventSender, Route
from souk.events.store import DeliveryRecord, Pending
from souk.faults import Faults
from souk.kernel.clock import Clock
from souk.kernel.errors import StoreError
from souk.resilience.backoff import Backoff
from souk.store.database import Database, Transaction
from souk.telemetry.logs import logger

_log = logger("events")
_LAST_RECORD = 2.0
"""Seconds for which a relay that ends waits until its last batch is recorded."""


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """The settings of a delivery. At most `batch` events or `batch_bytes` of payload are sent at once.

    An event on which the handler fails is parked after `max_failures` tries. The database is asked
    every `poll` seconds even if nothing wakes the delivery.
    """

    batch: int = 100
    batch_bytes: int = 2 << 20
    max_failures: int = 5
    poll: float = 1.0
    backoff: Backoff = field(default_factory=lambda: Backoff(0.1, 5.0))


@dataclass(slots=True)
class _Rest:
    """The wait of a partition after `tries` failed tries in a row; `until` is on the monotonic clock, in seconds."""

    tries: int
    until: float


@dataclass(frozen=True, slots=True)
class _Recording:
    """The events, by sequence number, that are being recorded as delivered."""

    task: "asyncio.Task[None]"
    numbers: frozenset[int]
    partitions: frozenset[int]

    async def end(self) -> None:
        """Lets it end, if that is soon; else what was delivered is delivered again."""
        try:
            await asyncio.wait([self.task], timeout=_LAST_RECORD)
        finally:
            self.task.cancel()
            await asyncio.wait([self.task])
            if not self.task.cancelled() and (error := self.task.exception()) is not None:
                _log.warning("what was delivered is not recorded, and comes again", error=type(error).__name__)


class _Away(Exception):
    """The consumer's service is unavailable; the cause of the exception says why."""


class Delivery:
    """Delivers to the consumer of `route` the events that are pending in the partitions that are held."""

    def __init__(
        self,
        route: Route,
        database: Database,
        sender: EventSender,
        leases: Leases,
        owner: str,
        clock: Clock,
        settings: DeliverySettings,
        random: Random,
        faults: Faults,
    ) -> None:
        self.route = route
        self._database = database
        self._sender = sender
        self._leases = leases
        self._owner = owner
        self._clock = clock
        self._settings = settings
        self._random = random
        self._faults = faults
        self._awake = asyncio.Event()
        self._resting: dict[int, _Rest] = {}
        self._away = 0
        self._sending: frozenset[int] = frozenset()
        self._recording: _Recording | None = None

    @property
    def busy(self) -> frozenset[int]:
        """The partitions of the events that are being sent, or recorded as delivered."""
        return self._sending | (self._recording.partitions if self._recording else frozenset())

    def wake(self) -> None:
        """Wakes the delivery, as there may be something to deliver."""
        self._awake.set()

    async def run(self) -> None:
        """Delivers until it is cancelled."""
        try:
            await self._deliver_for_ever()
        finally:
            if self._recording is not None:
                await self._recording.end()

    async def _deliver_for_ever(self) -> None:
        while True:
            self._awake.clear()
            try:
                found = await self._deliver_some()
            except _Away as error:
                await self._back_off("a consumer is unavailable", error.__cause__ or error)
            except StoreError as error:
                await self._back_off("the outbox cannot be reached", error)
            else:
                if not found:
                    await self._sleep()

    async def _deliver_some(self) -> bool:
        epochs = dict(self._leases.held)
        batch = self._cut(await self._find(set(epochs) - self._resting_now()))
        # The leases may have changed during the query.
        held = self._leases.held
        batch = [pending for pending in batch if held.get(pending.partition) == epochs[pending.partition]]
        if not batch:
            if self._recording is not None:
                await self._recorded_or_awake(self._recording.task)
            return False
        self._sending = frozenset(pending.partition for pending in batch)
        try:
            await self._hand_over(batch, {partition: epochs[partition] for partition in self._sending})
        finally:
            self._sending = frozenset()
        return True

    async def _recorded_or_awake(self, recording: "asyncio.Task[None]") -> None:
        waking = asyncio.create_task(self._awake.wait())
        try:
            await asyncio.wait([recording, waking], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
        if recording.done():
            await self._recorded()

    async def _recorded(self) -> None:
        """Waits until the batch before is recorded; raises StoreError if it could not be."""
        if self._recording is not None:
            try:
                await self._recording.task
            finally:
                self._recording = None

    async def _find(self, partitions: Collection[int]) -> list[Pending]:
        if not partitions:
            return []
        name, limit, waits = self.route.name, self._settings.batch, self.route.after_parked == "wait"
        sent = self._recording.numbers if self._recording else frozenset[int]()
        read = partial(store.pending, consumer=name, partitions=partitions, limit=limit + len(sent), waits=waits)
        found = [pending for pending in await self._database.read(read, single=True) if pending.seq not in sent]
        return _one_of_each_key(found) if waits else found

    def _cut(self, batch: list[Pending]) -> list[Pending]:
        size = 0
        for index, pending in enumerate(batch):
            size += len(pending.event.payload)
            if index and size > self._settings.batch_bytes:
                return batch[:index]
        return batch

    async def _hand_over(self, batch: list[Pending], epochs: dict[int, int]) -> None:
        try:
            results = await self._sender.hand_over(self.route, [pending.event for pending in batch])
            ended = {result.event_id: result for result in results}
            if not ended.keys() <= {pending.event.id for pending in batch}:
                raise ValueError("the consumer answered about other events than it was sent")
        except Exception as error:
            # No exception is the fault of these events: the consumer's service counts as unavailable.
            raise _Away from error
        self._faults.point("relay.handled")
        what = self._judge(batch, ended)
        await self._recorded()
        try:
            if what.went_well and self.route.after_parked != "wait":
                record = asyncio.create_task(self._record(what, batch, epochs), name=f"record of {self.route.name}")
                self._recording = _Recording(record, frozenset(what.delivered), self._sending)
            else:
                await self._record(what, batch, epochs)
        except StoreError as error:
            self._warn_of_unparked(what, batch, error)
            raise
        self._away = 0

    def _judge(self, batch: list[Pending], ended: Mapping[str, DeliveryResult]) -> DeliveryRecord:
        what, again = DeliveryRecord(), dict[int, int]()
        for pending in batch:
            result = ended.get(pending.event.id)
            if result is None:
                again.setdefault(pending.partition, 0)
            elif result.failure and pending.failures + 1 < self._settings.max_failures:
                what.failed[pending.seq] = Cause(result.failure, result.digest, result.location)
                again[pending.partition] = pending.failures + 1
            elif result.failure:
                reason = f"{result.failure}, {pending.failures + 1} times"
                what.parked[pending.seq] = Cause(reason, result.digest, result.location)
            elif result.poison:
                what.parked[pending.seq] = Cause(result.poison, result.digest, result.location)
            else:
                what.delivered.append(pending.seq)
        for partition in self._sending:
            rest = self._resting.pop(partition, None)
            if partition in again:
                self._rest(partition, again[partition] or (rest.tries + 1 if rest else 1))
        return what

    async def _record(self, what: DeliveryRecord, batch: list[Pending], epochs: dict[int, int]) -> None:
        partitions = {pending.seq: pending.partition for pending in batch}

        async def work(tx: Transaction) -> set[int]:
            if what.went_well and await store.delivered(tx, self.route.name, what.delivered, self._owner, epochs):
                return set()
            lost = await store.lost(tx, self._owner, epochs)
            await store.record(tx, self.route.name, what.without({n for n, p in partitions.items() if p in lost}))
            return lost

        # Guarded: the rows of the leases are locked first, unless nothing depends on them.
        if lost := await self._database.run(work, guarded=True):
            _log.warning("another relay took over partitions meanwhile", consumer=self.route.name, count=len(lost))
            self._leases.forget(lost)

    def _warn_of_unparked(self, what: DeliveryRecord, batch: list[Pending], error: StoreError) -> None:
        events = {pending.seq: pending.event for pending in batch}
        for seq, cause in what.parked.items():
            _log.error(
                "an event cannot be parked, and its key waits",
                consumer=self.route.name,
                event_id=events[seq].id,
                reason=cause.reason,
                error=type(error).__name__,
            )

    def _rest(self, partition: int, tries: int) -> None:
        delay = self._settings.backoff.delay(tries, self._random)
        self._resting[partition] = _Rest(tries, self._clock.monotonic() + delay)

    def _resting_now(self) -> set[int]:
        now = self._clock.monotonic()
        return {partition for partition, rest in self._resting.items() if rest.until > now}

    async def _sleep(self) -> None:
        now = self._clock.monotonic()
        ends = [rest.until - now for rest in self._resting.values() if rest.until > now]
        await wait(self._awake, min([self._settings.poll, *ends]))

    async def _back_off(self, what: str, error: BaseException) -> None:
        self._away += 1
        delay = self._settings.backoff.delay(self._away, self._random)
        _log.warning(what, consumer=self.route.name, error=type(error).__name__, next_try=round(delay, 3))
        await asyncio.sleep(delay)


def _one_of_each_key(found: list[Pending]) -> list[Pending]:
    first: dict[str, Pending] = {}
    for pending in found:
        first.setdefault(pending.event.key, pending)
    return list(first.values())


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Waits until the event is set, at most `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
