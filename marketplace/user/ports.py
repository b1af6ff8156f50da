"""What the use cases need, in their words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from marketplace.user.address import Address
from marketplace.user.refresh import Decision, Family
from marketplace.user.signing import SigningKey
from marketplace.user.throttle import Attempt

from marketplace.user import address
from marketplace.user.domain import Account, Change, Credentials, Proof


class Accounts(Protocol):
    """Accounts and their credentials. Each change is one transaction; emails stay unique under races.

    What takes a `proof` holds it against the account in that transaction: BAD_CREDENTIALS when the password
    is another by now, Unauthenticated when the login has ended, as it does when the password changes.
    """

    async def add(self, account: Account, password_hash: str) -> bool:
        """Adds an account; False, and nothing happens, when its email or id is taken."""
        ...

    async def find(self, user_id: str) -> Account | None:
        """The account of that id."""
        ...

    async def credentials(self, email: str) -> Credentials | None:
        """The account of that email, compared without case, and its password's hash."""
        ...

    async def credentials_of(self, user_id: str) -> Credentials | None:
        """The same by id."""
        ...

    async def change(self, user_id: str, change: Change, proof: Proof | None = None) -> Account | None:
        """Replaces an account by what `change` makes of it; None when it is unknown.

        With a proof it ends every other login. Raises EMAIL_TAKEN when its new email is another's. `change`
        may be called again.
        """
        ...

    async def change_password(self, proof: Proof, new_hash: str) -> None:
        """Sets the hash and ends every login; raises USER_NOT_FOUND, too."""
        ...

    async def erase(self, proof: Proof) -> None:
        """Erases account, addresses, credentials and logins, and tells so; nothing if it is gone."""
        ...


class Attempts(Protocol):
    """Counts failures by account and address, durably and across replicas."""

    async def wait(self, attempt: Attempt) -> float | None:
        """None when it may be tried, else the seconds until then."""
        ...

    async def fail(self, attempt: Attempt) -> float | None:
        """Counts a failure; when a limit is reached already, counts nothing and returns as `wait`."""
        ...

    async def forget_old(self) -> None:
        """Drops failures that count no more."""
        ...


class Sessions(Protocol):
    """Families of refresh tokens."""

    async def open(self, family: Family, password_hash: str, address: str) -> bool:
        """Keeps a new family, and that its user logged in from `address`, a digest.

        False when the user was deleted or has another password by now.
        """
        ...

    async def present(self, family_id: str, decide: Callable[[Family], Decision]) -> Decision | None:
        """Asks `decide` about the family and keeps what it decided; None for an unknown one.

        Calls for one family are serialised. `decide` may be called again.
        """
        ...

    async def revoke(self, family_id: str, user_id: str) -> None:
        """Ends a family of this user's, if there is one."""
        ...

    async def forget_expired(self) -> None:
        """Drops families that nobody can use any more, and addresses that nobody logged in from for long."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a page of addresses ended."""

    created_at: int
    address_id: str


class Addresses(Protocol):
    """Saved addresses; every call sees one user's alone."""

    async def add(self, new: Address) -> bool:
        """Adds an address; False when its user is gone. Raises TOO_MANY_ADDRESSES."""
        ...

    async def find(self, user_id: str, address_id: str) -> Address | None:
        """One address of the user's."""
        ...

    async def list(self, user_id: str, after: Mark | None, limit: int) -> Sequence[Address]:
        """At most `limit` of the user's addresses right behind `after`, the oldest first."""
        ...

    async def change(self, user_id: str, address_id: str, change: address.Change) -> Address | None:
        """Replaces an address by what `change` makes of it; None when the user has none of that id."""
        ...

    async def remove(self, user_id: str, address_id: str) -> bool:
        """Forgets an address; False when the user has none of that id."""
        ...


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


class Keys(Protocol):
    """Where signing keys are kept, for every replica: sealed."""

    async def all(self) -> list[SigningKey]:
        """Every key, in no order."""
        ...

    async def rotate(self, plan: Callable[[Sequence[SigningKey]], "Rotation"]) -> list[SigningKey]:
        """Changes the keys as planned from those there are, one replica at a time; returns what there is."""
        ...


@dataclass(frozen=True, slots=True)
class Rotation:
    """Keys to add, and to forget."""

    add: Sequence[SigningKey] = ()
    forget: Sequence[SigningKey] = ()


class KeyRing(Protocol):
    """The signing keys at hand. A key that another replica made is seen well before it signs."""

    async def keys(self) -> Sequence[SigningKey]:
        """At least one key."""
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
