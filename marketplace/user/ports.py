"""Ports: what User needs from other services and libraries."""

from typing import Protocol


class Obligations(Protocol):
    """Tells what stands against deleting the caller's account. Raises ORDER_UNAVAILABLE and PAYMENT_UNAVAILABLE."""

    async def has_open_orders(self) -> bool:
        """Tells whether an order is being placed, waits to be shipped, or is being cancelled."""
        ...

    async def balance(self) -> int:
        """Returns the balance of the wallet, in minor units."""
        ...


class Passwords(Protocol):
    """Hashes passwords with a slow hash, off the event loop.

    Waiting requests take turns by the address of their client. Raises TOO_MANY_ATTEMPTS when too many
    requests wait or one has waited too long.
    """

    async def hash(self, password: str) -> str:
        """Returns a salted hash for `verify`."""
        ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Tells whether the password fits. Without a hash it takes as long and returns False."""
        ...
