"""Addresses in SQL; every statement is restricted to one user."""

from collections.abc import Sequence

from marketplace.user.domain.address import FIELDS, MOST_ADDRESSES, Address, PostalAddress, too_many_addresses
from marketplace.user.store.cursor import Cursor
from souk.sdk import Row, Transaction, Value

_COLUMNS = ", ".join(("id", "user_id", *FIELDS, "created_at"))
_ADD = f"INSERT INTO addresses ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_ONE = f"SELECT {_COLUMNS} FROM addresses WHERE user_id = $1 AND id = $2"
_LIST = f"""
    SELECT {_COLUMNS} FROM addresses WHERE user_id = $1 AND (created_at, id) > ($2, $3)
    ORDER BY created_at, id LIMIT $4"""
_CHANGE = f"""
    UPDATE addresses SET {", ".join(f"{field} = ${number}" for number, field in enumerate(FIELDS, start=3))}
    WHERE user_id = $1 AND id = $2"""
_COUNT = "SELECT COUNT(*) AS n FROM addresses WHERE user_id = $1"
_REMOVE = "DELETE FROM addresses WHERE user_id = $1 AND id = $2"


class AddressStore:
    """Stores addresses, in the caller's transaction; each call works on the addresses of one user only."""

    async def add(self, tx: Transaction, new: Address) -> bool:
        """Adds an address; returns False when its user was deleted. Raises TOO_MANY_ADDRESSES."""
        await tx.lock(f"addresses:{new.user_id}")  # counting and adding are one step: transactions take turns
        # Locks the user's row: a concurrent erasure comes before or after, never between.
        if not await tx.fetch_one(f"SELECT id FROM users WHERE id = $1 {tx.dialect.for_update}", new.user_id):
            return False
        counted = await tx.fetch_one(_COUNT, new.user_id)
        if counted and counted["n"] >= MOST_ADDRESSES:
            raise too_many_addresses()
        await tx.execute(_ADD, new.id, new.user_id, *_values(new.postal), new.created_at)
        return True

    async def find(self, tx: Transaction, user_id: str, address_id: str) -> Address | None:
        """Returns one of the user's addresses, if there is one of that id."""
        row = await tx.fetch_one(_ONE, user_id, address_id)
        return _address(row) if row else None

    async def list(self, tx: Transaction, user_id: str, after: Cursor | None, limit: int) -> Sequence[Address]:
        """Returns at most `limit` of the user's addresses, the oldest first, starting right after `after`."""
        after = after or Cursor(-1, "")
        return [_address(row) for row in await tx.fetch(_LIST, user_id, after.created_at, after.row_id, limit)]

    async def lock(self, tx: Transaction, user_id: str, address_id: str) -> Address | None:
        """Locks one of the user's addresses and returns it, if there is one of that id."""
        row = await tx.fetch_one(f"{_ONE} {tx.dialect.for_update}", user_id, address_id)
        return _address(row) if row else None

    async def update(self, tx: Transaction, address: Address) -> None:
        """Stores an address that was locked."""
        await tx.execute(_CHANGE, address.user_id, address.id, *_values(address.postal))

    async def remove(self, tx: Transaction, user_id: str, address_id: str) -> bool:
        """Deletes an address; returns False when the user has none of that id."""
        return await tx.execute(_REMOVE, user_id, address_id) == 1


def _values(postal: PostalAddress) -> tuple[Value, ...]:
    return tuple(getattr(postal, field) for field in FIELDS)


def _address(row: Row) -> Address:
    postal = PostalAddress(**{field: row[field] for field in FIELDS})
    return Address(row["id"], row["user_id"], postal, row["created_at"])
