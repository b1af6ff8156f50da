"""Limits the requests of a process that reserve stock of the same product at once.

Every reservation of a product needs the lock of its one row. If all requests waited for it in the database, they
would occupy every connection, and commits and releases would find none. So in each process only a few requests
for each product wait in the database; the others wait here, in order.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from souk.sdk import KeyLocks

AT_ONCE = 3
"""Requests for one product that a process has in the database at once: one works, the others wait for the lock."""


class Turns:
    """Gives turns: at most `at_once` requests have one for the same product."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._locks = KeyLocks(at_once)

    @asynccontextmanager
    async def of(self, products: Iterable[str]) -> AsyncIterator[None]:
        """Waits for a turn for each of the products, in a fixed order, so that two requests cannot deadlock."""
        async with AsyncExitStack() as stack:
            for product in sorted(set(products)):
                await stack.enter_async_context(self._locks.of(product))
            yield
