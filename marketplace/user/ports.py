"""What User needs from outside, in its own words."""

from typing import Protocol


class Obligations(Protocol):
    """What the caller's account still has to do with others. Raises ORDER_UNAVAILABLE and PAYMENT_UNAVAILABLE."""

    async def has_open_orders(self) -> bool:
        """Whether an order is being placed, waits to be shipped, or is being cancelled."""
        ...

    async def balance(self) -> int:
        """What the wallet holds, in minor units."""
        ...


class Passwords(Protocol):
    """Hashes passwords, slowly, without holding up the event loop.

    Those who wait for it take turns by the address of the client whose call is handled. Raises
    TOO_MANY_ATTEMPTS when too many wait or one has waited too long.
    """

    async def hash(self, password: str) -> str:
        """A salted hash that `verify` knows."""
        ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits; takes as long, and answers False, when there is no hash."""
        ...
