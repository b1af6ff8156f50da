"""What the use cases need, in their words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from marketplace.user import address
from marketplace.user.address import Address
from marketplace.user.domain import Account, Change, Credentials
from marketplace.user.refresh import Decision, Family
from marketplace.user.signing import SigningKey


class Accounts(Protocol):
    """Accounts and their credentials. Each change is one transaction; emails stay unique under races."""

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

    async def change(self, user_id: str, change: Change) -> Account | None:
        """Replaces an account by what `change` makes of it; None when it is unknown.

        Raises EMAIL_TAKEN when its new email is another's. `change` may be called again.
        """
        ...

    async def change_password(self, user_id: str, old_hash: str, new_hash: str) -> bool:
        """Sets the hash and ends every session; False when the hash is not `old_hash` any more."""
        ...

    async def erase(self, user_id: str) -> None:
        """Erases account, addresses, credentials and sessions, and tells so; nothing if it is gone."""
        ...


class Attempts(Protocol):
    """Counts wrong passwords per account, durably and across replicas."""

    async def wait(self, key: str) -> float | None:
        """None when a password may be tried, else the seconds until then."""
        ...

    async def fail(self, key: str) -> float | None:
        """Counts a failure; when the limit is reached already, counts nothing and returns as `wait`."""
        ...


class Sessions(Protocol):
    """Families of refresh tokens."""

    async def open(self, family: Family, password_hash: str) -> bool:
        """Keeps a new family; False when the user is gone or has another password by now."""
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
        """Drops families that nobody can use any more."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a page of addresses ended."""

    created_at: int
    address_id: str


class Addresses(Protocol):
    """Saved addresses; every call sees one user's alone."""

    async def add(self, new: Address) -> bool:
        """Adds an address; False when its user is gone."""
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


class Passwords(Protocol):
    """Hashes passwords, slowly, without holding up the event loop."""

    async def hash(self, password: str) -> str:
        """A salted hash that `verify` knows."""
        ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits; takes as long, and answers False, when there is no hash."""
        ...


class Keys(Protocol):
    """Where signing keys are kept, for every replica."""

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
