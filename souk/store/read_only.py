"""What the transaction of a `read` refuses, on whichever engine."""

from collections.abc import Callable

from souk.kernel.errors import StoreError


class ReadOnly:
    """Nothing comes of a `read`, so there is nothing to announce or to lock."""

    reading = True

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Raises StoreError."""
        raise StoreError("a read has no commit")

    async def notify(self, channel: str) -> None:
        """Raises StoreError."""
        raise StoreError("a read notifies nobody")

    async def lock(self, name: str) -> None:
        """Raises StoreError."""
        raise StoreError("a read holds no locks")
