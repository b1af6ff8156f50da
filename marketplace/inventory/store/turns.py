"""Whose turn it is to hold stock of a product.

Everybody who wants a product needs the lock of its one row. If all of them waited for it in the database, they
would take every connection, and those who only want to commit or release would find none. So in each process
only a few per product wait there, and the rest here, in order.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

AT_ONCE = 3
"""In the database at once, of one product, from one process: one works, others stand ready."""


class Turns:
    """Lets `at_once` in for each product."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def of(self, products: Iterable[str]) -> AsyncIterator[None]:
        """A turn for all of these; they are waited for in one order, so that two never wait for each other."""
        async with AsyncExitStack() as stack:
            for product in sorted(set(products)):
                await stack.enter_async_context(self._turn(product))
            yield

    @asynccontextmanager
    async def _turn(self, product: str) -> AsyncIterator[None]:
        queue = self._queues.get(product)
        if queue is None:
            queue = self._queues[product] = _Queue(self._at_once)
        queue.waiting += 1
        try:
            async with queue.room:
                yield
        finally:
            queue.waiting -= 1
            if not queue.waiting:
                del self._queues[product]


class _Queue:
    """A product that somebody wants."""

    __slots__ = ("room", "waiting")

    def __init__(self, at_once: int) -> None:
        self.room = asyncio.Semaphore(at_once)
        self.waiting = 0
