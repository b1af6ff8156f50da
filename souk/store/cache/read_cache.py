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
import hashlib
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from souk.kernel.clock import MICROSECONDS, Clock
from souk.kernel.errors import Overloaded, StoreUnavailable
from souk.store.cache.bounded_memory import BoundedMemory
from souk.telemetry.logs import logger

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra

REFRESH_EVERY = 0.25
"""Seconds between two reads of the version."""
_STAMP = 8
_REMEMBERED = 64
"""The number of earlier versions of this process that are remembered."""

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


class ReadCache:
    """A cache of answers by key. `alone` means that no other process changes the cached data.

    Callers must not change the messages that it returns. With Redis, `run` must be running while it is used.
    """

    def __init__(
        self, name: str, clock: Clock, redis: "Redis | None", *, alone: bool, settings: CacheSettings | None = None
    ) -> None:
        self._settings = settings or CacheSettings()
        self._clock = clock
        self._shared = _Shared(name, redis, self._settings, clock) if redis is not None else None
        self._alone = alone and redis is None
        self._version, self._sure_at = secrets.token_hex(8), float("-inf")
        self._superseded: deque[str] = deque(maxlen=_REMEMBERED)
        self._entries: BoundedMemory[CacheEntry[Message]] = BoundedMemory(self._settings.octets)
        self._loads: dict[tuple[str, bytes], asyncio.Task[Message]] = {}
        self._unannounced = False

    async def read(self, key: bytes, kind: type[M], load: Callable[[], Awaitable[M]]) -> M:
        """Returns the answer for `key`; raises what `load` raises if no cached entry may be returned instead."""
        now = self._clock.monotonic()
        entry = self._known(key, kind)
        age = now - entry.loaded if entry is not None else 0.0
        if entry is not None and self._may_answer(entry, age, now):
            if age >= self._settings.fresh:
                self._load(key, kind, load).add_done_callback(_heed)
            return entry.message
        try:
            return await asyncio.shield(self._load(key, kind, load))
        except (StoreUnavailable, Overloaded):
            if entry is None or age > self._settings.lost:
                raise
            return entry.message

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
            work = self._filled(key, kind, load, self._version)
            running = self._loads[version_key] = asyncio.get_running_loop().create_task(work, context=Context())
            running.add_done_callback(lambda _: self._loads.__delitem__(version_key))
        return running  # type: ignore[return-value]  # one key has one kind

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


class _Shared:
    """The part in Redis, which replicas share. A failure of Redis counts as a miss, and then Redis is not asked for a
    while (`unsure` seconds)."""

    def __init__(self, name: str, redis: "Redis", settings: CacheSettings, clock: Clock) -> None:
        from redis.exceptions import RedisError  # here, because it is an optional extra

        self._errors = (RedisError, OSError, TimeoutError)
        self._redis, self._clock = redis, clock
        self._prefix = f"souk:cache:{name}"
        self._seconds = max(1, round(settings.stale))
        self._pause = settings.unsure
        self._left_alone_until = float("-inf")

    async def version(self, own: str) -> str | None:
        """Returns the version of all replicas, which becomes `own` if there is none; None if Redis does not answer."""
        key = f"{self._prefix}:version"
        found = await self._ask(lambda: self._redis.set(key, own, nx=True, get=True))
        if found is None:
            return own if self._is_there() else None
        return found.decode(errors="replace") if isinstance(found, bytes) else str(found)

    async def announce(self, version: str) -> bool:
        """Writes a new version for all replicas; returns whether Redis took it."""
        return bool(await self._ask(lambda: self._redis.set(f"{self._prefix}:version", version), insist=True))

    async def find(self, version: str, key: bytes, kind: type[M]) -> tuple[M | None, float]:
        """Returns the answer that a replica has loaded, or None, and its age in seconds."""
        found = await self._ask(lambda: self._redis.get(self._redis_key(version, key)))
        if not isinstance(found, bytes) or len(found) < _STAMP:
            return None, 0.0
        try:
            message = kind.FromString(found[_STAMP:])
        except DecodeError:
            return None, 0.0
        age = (self._clock.now() - int.from_bytes(found[:_STAMP])) / MICROSECONDS
        return message, max(0.0, age)

    async def keep(self, version: str, key: bytes, message: Message) -> None:
        """Stores an answer for the other replicas."""
        value = self._clock.now().to_bytes(_STAMP) + message.SerializeToString()
        await self._ask(lambda: self._redis.set(self._redis_key(version, key), value, ex=self._seconds))

    def _redis_key(self, version: str, key: bytes) -> str:
        return f"{self._prefix}:{version}:{hashlib.blake2b(key, digest_size=16).hexdigest()}"

    def _is_there(self) -> bool:
        return self._clock.monotonic() >= self._left_alone_until

    async def _ask(self, command: Callable[[], Awaitable[object]], *, insist: bool = False) -> object:
        if not insist and not self._is_there():
            return None
        try:
            return await command()
        except self._errors as error:
            if self._is_there():
                _log.warning("Redis does not answer; the cache works without it", error=type(error).__name__)
            self._left_alone_until = self._clock.monotonic() + self._pause
            return None
