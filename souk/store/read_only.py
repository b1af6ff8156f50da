"""The operations that the transaction of a `read` refuses, on every engine."""

from collections.abc import Callable

from souk.kernel.errors import StoreError


class ReadOnly:
    """The part of a `read`'s transaction that every engine shares: a read commits nothing, so it refuses to notify,
    to lock and to call back after the commit."""

    reading = True

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Raises StoreError: a read has no commit."""
        raise StoreError("a read has no commit")

    async def notify(self, channel: str) -> None:
        """Raises StoreError: a read notifies no listener."""
        raise StoreError("a read notifies nobody")

    async def lock(self, name: str) -> None:
        """Raises StoreError: a read holds no locks."""
        raise StoreError("a read holds no locks")
