"""Families of refresh tokens in SQL."""

from collections.abc import Callable

from marketplace.user.domain.refresh import Decision, Family
from souk.sdk import MICROSECONDS, Clock, Database, Row, Transaction

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
    """Stores families of refresh tokens, and the client addresses from which users logged in."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def open(self, family: Family, password_hash: str, address: str) -> bool:
        """Stores a new family, and `address`, the digest of the client address of the login.

        Returns False when the user was deleted or has changed the password since.
        """

        async def work(tx: Transaction) -> bool:
            # Locks the user's row: a concurrent change of password or erasure comes either before,
            # and is seen here, or after, and ends this family too.
            sql = f"SELECT password_hash FROM users WHERE id = $1 {tx.dialect.for_update}"
            row = await tx.fetch_one(sql, family.user_id)
            if row is None or row["password_hash"] != password_hash:
                return False
            await tx.execute(
                _ADD,
                family.id,
                family.user_id,
                family.key,
                family.current,
                family.previous,
                family.rotated_at,
                family.expires_at,
            )
            await tx.execute(_KNOW, family.user_id, address, self._clock.now())
            await tx.execute(_KNOW_NO_MORE_THAN, family.user_id, MOST_ADDRESSES)
            return True

        return await self._database.run(work)

    async def present(self, family_id: str, decide: Callable[[Family], Decision]) -> Decision | None:
        """Asks `decide` about a family and stores the decision; returns None for an unknown family.

        Calls for one family are serialised. `decide` may be called again.
        """

        async def work(tx: Transaction) -> Decision | None:
            sql = f"SELECT {_COLUMNS} FROM refresh_families WHERE id = $1 {tx.dialect.for_update}"
            row = await tx.fetch_one(sql, family_id)
            if row is None:
                return None
            old = _family(row)
            decision = decide(old)
            new = decision.family
            if new is None:
                await tx.execute(_REMOVE, family_id)
            elif new != old:
                await tx.execute(_ROTATE, new.id, new.current, new.previous, new.rotated_at, new.expires_at)
            return decision

        return await self._database.run(work)

    async def revoke(self, family_id: str, user_id: str) -> None:
        """Deletes a family if it belongs to this user."""
        sql = f"{_REMOVE} AND user_id = $2"
        await self._database.run(lambda tx: tx.execute(sql, family_id, user_id))

    async def forget_expired(self) -> None:
        """Deletes expired families, and client addresses without a login for ADDRESS_KNOWN."""
        now = self._clock.now()

        async def work(tx: Transaction) -> None:
            await tx.execute("DELETE FROM refresh_families WHERE expires_at <= $1", now)
            await tx.execute("DELETE FROM known_addresses WHERE used_at <= $1", now - ADDRESS_KNOWN)

        await self._database.run(work)


def _family(row: Row) -> Family:
    return Family(*(row[column] for column in _COLUMNS.split(", ")))
