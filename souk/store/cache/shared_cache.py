"""The part of a cache that is in Redis, where replicas share it. It may be away, empty or wrong at any time."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

from souk.kernel.clock import MICROSECONDS, Clock
from souk.telemetry.logs import logger
from souk.telemetry.tracing.leaves import leaf, leaves_of_redis
from souk.telemetry.tracing.tracer import Tracer

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra

M = TypeVar("M", bound=Message)

_GET, _SET = "GET", "SET"
_STAMP = 8

_log = logger("cache")


class SharedCache:
    """The part of a cache that replicas share. What is in it is forgotten after `seconds`.

    A failure of Redis counts as a miss, and then Redis is not asked for `pause` seconds. `tracer` records commands.
    """

    def __init__(
        self, name: str, redis: "Redis", clock: Clock, tracer: Tracer | None, seconds: float, pause: float
    ) -> None:
        from redis.exceptions import RedisError  # here, because it is an optional extra

        self._errors = (RedisError, OSError, TimeoutError)
        self._redis, self._clock = redis, clock
        self._leaves = leaves_of_redis(tracer, redis)
        self._prefix = f"souk:cache:{name}"
        self._seconds = max(1, round(seconds))
        self._pause = pause
        self._left_alone_until = float("-inf")

    async def version(self, own: str) -> str | None:
        """Returns the version of all replicas, which becomes `own` if there is none; None if Redis does not answer."""
        key = f"{self._prefix}:version"
        found = await self._ask(_SET, lambda: self._redis.set(key, own, nx=True, get=True))
        if found is None:
            return own if self._is_there() else None
        return found.decode(errors="replace") if isinstance(found, bytes) else str(found)

    async def announce(self, version: str) -> bool:
        """Writes a new version for all replicas; returns whether Redis took it."""
        return bool(await self._ask(_SET, lambda: self._redis.set(f"{self._prefix}:version", version), insist=True))

    async def find(self, version: str, key: bytes, kind: type[M]) -> tuple[M | None, float]:
        """Returns the answer that a replica has loaded, or None, and its age in seconds."""
        found = await self._ask(_GET, lambda: self._redis.get(self._redis_key(version, key)))
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
        await self._ask(_SET, lambda: self._redis.set(self._redis_key(version, key), value, ex=self._seconds))

    def _redis_key(self, version: str, key: bytes) -> str:
        return f"{self._prefix}:{version}:{hashlib.blake2b(key, digest_size=16).hexdigest()}"

    def _is_there(self) -> bool:
        return self._clock.monotonic() >= self._left_alone_until

    async def _ask(self, name: str, command: Callable[[], Awaitable[object]], *, insist: bool = False) -> object:
        if not insist and not self._is_there():
            return None
        try:
            with leaf(self._leaves, name) as recorded:
                found = await command()
                if recorded is not None and name == _GET:
                    recorded.attributes = {"souk.cache.hit": found is not None}
                return found
        except self._errors as error:
            if self._is_there():
                _log.warning("Redis does not answer; the cache works without it", error=type(error).__name__)
            self._left_alone_until = self._clock.monotonic() + self._pause
            return None
