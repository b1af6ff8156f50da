"""Hints of products that many want at once: marks in Redis say that it was short a moment ago.

A mark holds what was available when PostgreSQL last refused, for MARK seconds. Whoever wants more than that
is led to look before it queues for the row's lock; PostgreSQL decides either way. A mark that is wrong costs
one look. A Redis that is away is not asked for PAUSE seconds, and then everybody queues as without hints.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from redis.exceptions import RedisError

from marketplace.inventory.domain import Item
from souk.sdk import Clock, logger

if TYPE_CHECKING:
    from redis.asyncio import Redis

MARK = 5
"""Seconds."""
PAUSE = 1.0

T = TypeVar("T")

_log = logger("inventory")


class RedisHints:
    """Implements `ports.ShortageHints`."""

    def __init__(self, redis: "Redis", clock: Clock) -> None:
        self._redis, self._clock = redis, clock
        self._left_alone_until = float("-inf")

    async def likely_short(self, items: Sequence[Item]) -> bool:
        """Whether a mark says that there is less than wanted of one of them."""
        nothing: list[bytes | str | None] = []
        marks = await self._ask(lambda: self._redis.mget([_key_of(item.product_id) for item in items]), nothing)
        return any(_less(mark, item.quantity) for item, mark in zip(items, marks, strict=False))

    async def learned(self, short: Mapping[str, int]) -> None:
        """Marks what was refused."""

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
