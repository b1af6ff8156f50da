"""Whose turn it is to hold stock of a product.

Everybody who wants a product needs the lock of its one row. If all of them waited for it in the database, they
would take every connection, and those who only want to commit or release would find none. So in each process
only a few per product wait there, and the rest here, in order.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from souk.sdk import KeyLocks

AT_ONCE = 3
"""In the database at once, of one product, from one process: one works, others stand ready."""


class Turns:
    """Lets `at_once` in for each product."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._locks = KeyLocks(at_once)

    @asynccontextmanager
    async def of(self, products: Iterable[str]) -> AsyncIterator[None]:
        """A turn for all of these; they are waited for in one order, so that two never wait for each other."""
        async with AsyncExitStack() as stack:
            for product in sorted(set(products)):
                await stack.enter_async_context(self._locks.of(product))
            yield
