"""Shortage hints in Redis: marks of products that were short a moment ago.

A mark holds for MARK seconds what was available when PostgreSQL last refused. A request that wants more than
that reads the stock without a lock before it queues for the row's lock; PostgreSQL decides in either case. A
wrong mark costs one read. After an error Redis is not called for PAUSE seconds, and requests queue as they do
without hints.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from redis.exceptions import RedisError

from marketplace.inventory.domain import Item
from souk.sdk import Clock, logger

if TYPE_CHECKING:
    from redis.asyncio import Redis

MARK = 5
"""Seconds for which a mark is kept."""
PAUSE = 1.0

T = TypeVar("T")

_log = logger("inventory")


class RedisHints:
    """Implements `ports.ShortageHints`."""

    def __init__(self, redis: "Redis", clock: Clock) -> None:
        self._redis, self._clock = redis, clock
        self._left_alone_until = float("-inf")

    async def likely_short(self, items: Sequence[Item]) -> bool:
        """Tells whether the mark of one of the items is less than the wanted quantity."""
        nothing: list[bytes | str | None] = []
        marks = await self._ask(lambda: self._redis.mget([_key_of(item.product_id) for item in items]), nothing)
        return any(_less(mark, item.quantity) for item, mark in zip(items, marks, strict=False))

    async def learned(self, short: Mapping[str, int]) -> None:
        """Marks products that were short with what is available of them."""

        async def mark() -> None:
            async with self._redis.pipeline(transaction=False) as pipe:
                for product, available in short.items():
                    pipe.set(_key_of(product), available, ex=MARK)
                await pipe.execute()

        await self._ask(mark, None)

    async def _ask(self, command: Callable[[], Awaitable[T]], otherwise: T) -> T:
        if self._clock.monotonic() < self._left_alone_until:
            return otherwise
        try:
            return await command()
        except (RedisError, OSError, TimeoutError) as error:
            self._left_alone_until = self._clock.monotonic() + PAUSE
            _log.warning("Redis does not answer; stock is checked in the database alone", error=type(error).__name__)
            return otherwise


def _key_of(product: str) -> str:
    return f"souk:inventory:short:{product}"


def _less(mark: object, quantity: int) -> bool:
    return isinstance(mark, bytes) and mark.isdigit() and len(mark) < 10 and int(mark) < quantity
