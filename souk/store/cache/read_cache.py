"""A cache for data that is read far more often than it changes.

    memory of this process  ->  Redis, shared by replicas, if there is one  ->  the database

- Concurrent readers of one key wait for one load (request coalescing).
- An entry older than `fresh` is returned at once and loaded again in the background, up to an age of `stale`
  (stale-while-revalidate, RFC 5861).
- Code that changes something calls `changed()` after the commit. From then on no entry read before is returned
  without waiting for a new load. Other replicas notice the change within `REFRESH_EVERY`.
- While the database is away, known entries are returned up to an age of `lost` (stale-if-error).

All of that depends on a version, a random word: an entry belongs to the version that was current when its load
began. Replicas find the version in Redis. A Redis that is away, empty or wrong costs only time: while the current
version is not certain, no entry older than `unsure` is returned without a new load, and no entry is taken from
Redis, because a Redis that can be read but not written, such as a replica, would return data from before a change.
A change that could not be written to Redis is written as soon as Redis is back; if the process dies before that,
other replicas learn of the change after `fresh`. If Redis goes back to a version that this process has replaced,
the process writes the new version again.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from google.protobuf.message import Message
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from souk.kernel.clock import Clock
from souk.kernel.context import CallContext, current, use
from souk.kernel.errors import Overloaded, StoreUnavailable
from souk.store.cache.bounded_memory import BoundedMemory
from souk.store.cache.shared_cache import SharedCache
from souk.telemetry.logs import logger
from souk.telemetry.tracing.tracer import Tracer

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra

REFRESH_EVERY = 0.25
"""Seconds between two reads of the version."""
_REMEMBERED = 64
"""The number of earlier versions of this process that are remembered."""

_RESULTS = ("fresh", "stale", "loaded", "kept")
_METRIC, _HELP = "souk_cache_reads", "Reads of a cache, by where the answer came from."

M = TypeVar("M", bound=Message)

_log = logger("cache")


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Settings of a cache; the module explains the times, which are in seconds.

    `octets` is the most that the entries of a process may have together, serialised. In memory they take about twice
    that.
    """

    fresh: float = 30.0
    stale: float = 300.0
    lost: float = 3_600.0
    unsure: float = 1.0
    octets: int = 32_000_000


@dataclass(frozen=True, slots=True)
class CacheEntry(Generic[M]):
    """A cached answer, the version that it belongs to, and when it was loaded, on the monotonic clock."""

    message: M
    version: str
    loaded: float


class ReadCache(Collector):
    """A cache of answers by key. `alone` means that no other process changes the cached data.

    As a collector it counts its reads: souk_cache_reads_total{cache, result}, by whether the answer was `fresh`, was
    shown while it was loaded anew (`stale`), had to be loaded (`loaded`), or was shown since it could not be (`kept`).

    `tracer` records what is asked of Redis; a load is in the trace of the reader who began it, and others wait for it.
    Callers must not change the messages that it returns. With Redis, `run` must be running while it is used.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        redis: "Redis | None",
        *,
        alone: bool,
        settings: CacheSettings | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._settings = settings or CacheSettings()
        self._clock = clock
        self._shared = (
            SharedCache(name, redis, clock, tracer, self._settings.stale, self._settings.unsure)
            if redis is not None
            else None
        )
        self._alone = alone and redis is None
        self._version, self._sure_at = secrets.token_hex(8), float("-inf")
        self._superseded: deque[str] = deque(maxlen=_REMEMBERED)
        self._entries: BoundedMemory[CacheEntry[Message]] = BoundedMemory(self._settings.octets)
        self._loads: dict[tuple[str, bytes], asyncio.Task[Message]] = {}
        self._unannounced = False
        self._name, self._reads = name, dict.fromkeys(_RESULTS, 0)

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(_METRIC, _HELP, labels=("cache", "result"))
        for result, reads in self._reads.items():
            family.add_metric((self._name, result), reads)
        yield family

    def describe(self) -> Iterable[Metric]:
        """Names the counter without reading it."""
        yield CounterMetricFamily(_METRIC, _HELP, labels=("cache", "result"))

    async def read(self, key: bytes, kind: type[M], load: Callable[[], Awaitable[M]]) -> M:
        """Returns the answer for `key`; raises what `load` raises if no cached entry may be returned instead."""
        now = self._clock.monotonic()
        entry = self._known(key, kind)
        age = now - entry.loaded if entry is not None else 0.0
        if entry is not None and self._may_answer(entry, age, now):
            stale = age >= self._settings.fresh
            if stale:
                self._load(key, kind, load).add_done_callback(_heed)
            self._reads["stale" if stale else "fresh"] += 1
            return entry.message
        try:
            message = await asyncio.shield(self._load(key, kind, load))
        except (StoreUnavailable, Overloaded):
            if entry is None or age > self._settings.lost:
                raise
            self._reads["kept"] += 1
            return entry.message
        self._reads["loaded"] += 1
        return message

    async def changed(self) -> None:
        """Makes everything stale that was read until now, in this process and, through Redis, in every replica."""
        self._superseded.append(self._version)
        self._version, self._unannounced = secrets.token_hex(8), self._shared is not None
        await self._announce()

    async def run(self) -> None:
        """Learns of changes by other processes, until it is cancelled; returns at once without Redis."""
        if self._shared is None:
            return
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_EVERY)

    async def refresh(self) -> None:
        """Reads the version from Redis once, or writes a change there that could not be written before."""
        if self._unannounced:
            await self._announce()
            return
        asked, before = self._clock.monotonic(), self._version
        found = await self._shared.version(before) if self._shared is not None else None
        if found is None or self._version != before:  # Redis does not answer, or this process changed data meanwhile
            return
        if found in self._superseded:  # a replica of Redis has become the primary, and has lost the change
            await self._announce()
            return
        self._version, self._sure_at = found, asked

    async def _announce(self) -> None:
        announced, asked = self._version, self._clock.monotonic()
        if self._shared is not None and await self._shared.announce(announced) and self._version == announced:
            self._unannounced, self._sure_at = False, asked

    def _known(self, key: bytes, kind: type[M]) -> CacheEntry[M] | None:
        entry = self._entries.get(key)
        if entry is None or not isinstance(entry.message, kind):
            return None
        return CacheEntry(entry.message, entry.version, entry.loaded)

    def _may_answer(self, entry: CacheEntry[M], age: float, now: float) -> bool:
        if entry.version != self._version:
            return False
        return age < (self._settings.stale if self._is_sure(now) else self._settings.unsure)

    def _is_sure(self, now: float) -> bool:
        """Whether this process's version is certainly the current one."""
        return self._alone or now - self._sure_at <= self._settings.unsure

    def _load(self, key: bytes, kind: type[M], load: Callable[[], Awaitable[M]]) -> "asyncio.Task[M]":
        version_key = (self._version, key)  # a load that began before a change is not for readers after it
        running = self._loads.get(version_key)
        if running is None:
            work = self._begun(key, kind, load, self._version, current().traceparent)
            running = self._loads[version_key] = asyncio.get_running_loop().create_task(work, context=Context())
            running.add_done_callback(lambda _: self._loads.__delitem__(version_key))
        return running  # type: ignore[return-value]  # one key has one kind

    async def _begun(
        self, key: bytes, kind: type[M], load: Callable[[], Awaitable[M]], version: str, traceparent: str
    ) -> M:
        """Loads in the trace of the reader who began it, of whom the load knows nothing else: it is for all readers."""
        with use(CallContext(traceparent=traceparent)):
            return await self._filled(key, kind, load, version)

    async def _filled(self, key: bytes, kind: type[M], load: Callable[[], Awaitable[M]], version: str) -> M:
        began = self._clock.monotonic()
        message, age = None, 0.0
        shared = self._shared if self._is_sure(began) else None
        if shared is not None:
            message, age = await shared.find(version, key, kind)
        if message is None or age >= self._settings.fresh:
            message, age = await load(), 0.0
            if shared is not None:
                await shared.keep(version, key, message)
        if key not in self._entries or version == self._version:
            self._entries.set(key, CacheEntry(message, version, began - age), message.ByteSize())
        return message


def _heed(task: "asyncio.Task[M]") -> None:
    """Logs the failure of a load in the background, for which no reader waits."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("could not be loaded anew", error=type(error).__name__)
