"""Families of refresh tokens in SQL."""

from marketplace.user.domain.refresh import Family
from souk.sdk import MICROSECONDS, Clock, Row, Transaction

_COLUMNS = "id, user_id, family_key, current_digest, previous_digest, rotated_at, expires_at"
_ADD = f"INSERT INTO refresh_families ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)"
_ROTATE = """
    UPDATE refresh_families SET current_digest = $2, previous_digest = $3, rotated_at = $4, expires_at = $5
    WHERE id = $1"""
_REMOVE = "DELETE FROM refresh_families WHERE id = $1"
_KNOW = """
    INSERT INTO known_addresses (user_id, address, used_at) VALUES ($1, $2, $3)
    ON CONFLICT (user_id, address) DO UPDATE SET used_at = $3"""
_KNOW_NO_MORE_THAN = """
    DELETE FROM known_addresses WHERE user_id = $1 AND address NOT IN (
        SELECT address FROM known_addresses WHERE user_id = $1 ORDER BY used_at DESC, address LIMIT $2)"""
MOST_ADDRESSES = 20
"""The most client addresses that are known of a user; the latest are kept."""
ADDRESS_KNOWN = 90 * 24 * 3_600 * MICROSECONDS
"""Microseconds for which a client address stays known after its user last logged in from it."""


class SessionStore:
    """Stores families of refresh tokens, and the client addresses from which users logged in.

    It works in the caller's transaction.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def open(self, tx: Transaction, family: Family, password_hash: str, address: str) -> bool:
        """Stores a new family, and `address`, the digest of the client address of the login.

        Returns False when the user was deleted or has changed the password since.
        """
        # Locks the user's row: a concurrent change of password or erasure comes either before,
        # and is seen here, or after, and ends this family too.
        sql = f"SELECT password_hash FROM users WHERE id = $1 {tx.dialect.for_update}"
        row = await tx.fetch_one(sql, family.user_id)
        if row is None or row["password_hash"] != password_hash:
            return False
        f = family
        await tx.execute(_ADD, f.id, f.user_id, f.key, f.current, f.previous, f.rotated_at, f.expires_at)
        await tx.execute(_KNOW, family.user_id, address, self._clock.now())
        await tx.execute(_KNOW_NO_MORE_THAN, family.user_id, MOST_ADDRESSES)
        return True

    async def lock(self, tx: Transaction, family_id: str) -> Family | None:
        """Locks a family and returns it, if there is one of that id."""
        row = await tx.fetch_one(
            f"SELECT {_COLUMNS} FROM refresh_families WHERE id = $1 {tx.dialect.for_update}", family_id
        )
        return _family(row) if row else None

    async def update(self, tx: Transaction, new: Family) -> None:
        """Stores a family that was locked."""
        await tx.execute(_ROTATE, new.id, new.current, new.previous, new.rotated_at, new.expires_at)

    async def remove(self, tx: Transaction, family_id: str) -> None:
        """Deletes a family that was locked."""
        await tx.execute(_REMOVE, family_id)

    async def revoke(self, tx: Transaction, family_id: str, user_id: str) -> None:
        """Deletes a family if it belongs to this user."""
        await tx.execute(f"{_REMOVE} AND user_id = $2", family_id, user_id)

    async def forget_expired(self, tx: Transaction) -> None:
        """Deletes expired families, and client addresses without a login for ADDRESS_KNOWN."""
        now = self._clock.now()
        await tx.execute("DELETE FROM refresh_families WHERE expires_at <= $1", now)
        await tx.execute("DELETE FROM known_addresses WHERE used_at <= $1", now - ADDRESS_KNOWN)


def _family(row: Row) -> Family:
    return Family(*(row[column] for column in _COLUMNS.split(", ")))
