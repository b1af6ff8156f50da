"""What User needs from outside, in its own words."""

from typing import Protocol

from marketplace.user.domain.signing import SigningKey


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


class Seal(Protocol):
    """Makes texts unreadable for whoever has not the secret; `name` says what a text is, and is part of the seal."""

    def is_sealed(self, text: str) -> bool:
        """Whether `close` made it."""
        ...

    def close(self, name: str, text: str) -> str:
        """The text, sealed."""
        ...

    def open(self, name: str, text: str) -> str | None:
        """What was sealed under that name; None when it was under another name or secret, or has changed."""
        ...


class Signer(Protocol):
    """Makes keys and signs claims (RFC 7515, ES256)."""

    def make_key(self, signs_from: int) -> SigningKey:
        """A new key."""
        ...

    def public(self, key: SigningKey) -> dict[str, str]:
        """Its public half, as a JSON Web Key."""
        ...

    def sign(self, claims: dict[str, object], key: SigningKey) -> str:
        """A JSON Web Token (RFC 7519)."""
        ...
