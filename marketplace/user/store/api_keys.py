"""API keys in SQL."""

from collections.abc import Sequence

from marketplace.user.domain.api_key import DAY, MOST_API_KEYS, ApiKey
from marketplace.user.store.cursor import Cursor
from souk.sdk import MICROSECONDS, Clock, Row, Transaction

_COLUMNS = "id, user_id, name, scopes, digest, created_at, expires_at, last_used_at"
_ADD = f"INSERT INTO api_keys ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
_COUNT = "SELECT COUNT(*) AS kept FROM api_keys WHERE user_id = $1"
_FIND = f"SELECT {_COLUMNS} FROM api_keys WHERE id = $1"
_LIST = f"""
    SELECT {_COLUMNS} FROM api_keys WHERE user_id = $1 AND (created_at, id) > ($2, $3)
    ORDER BY created_at, id LIMIT $4"""
_REMOVE = "DELETE FROM api_keys WHERE user_id = $1 AND id = $2"
_TOUCH = "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)"
_FORGET = "DELETE FROM api_keys WHERE expires_at <= $1"

KEPT_AFTER_END = 30 * DAY
"""Microseconds for which an expired key is still listed, so that its owner sees why a program is refused."""
TOUCHED_EVERY = 60 * MICROSECONDS
"""Microseconds between two records of use of one key."""


class ApiKeyStore:
    """Stores API keys, in the caller's transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def add(self, tx: Transaction, key: ApiKey) -> bool:
        """Adds a key of a user whose row is locked; returns False when the user has MOST_API_KEYS already."""
        row = await tx.fetch_one(_COUNT, key.user_id)
        if row is not None and row["kept"] >= MOST_API_KEYS:
            return False
        named = (key.id, key.user_id, key.name, " ".join(key.scopes))
        await tx.execute(_ADD, *named, key.digest, key.created_at, key.expires_at, key.last_used_at)
        return True

    async def find(self, tx: Transaction, key_id: str) -> ApiKey | None:
        """Returns the key of an identifier, if there is one."""
        row = await tx.fetch_one(_FIND, key_id)
        return _api_key(row) if row else None

    async def list(self, tx: Transaction, user_id: str, after: Cursor | None, limit: int) -> Sequence[ApiKey]:
        """Returns at most `limit` of the user's keys, the oldest first, starting right after `after`."""
        after = after or Cursor(-1, "")
        rows = await tx.fetch(_LIST, user_id, after.created_at, after.row_id, limit)
        return [_api_key(row) for row in rows]

    async def remove(self, tx: Transaction, user_id: str, key_id: str) -> bool:
        """Deletes one of the user's keys; returns False when the user has none of that identifier."""
        return await tx.execute(_REMOVE, user_id, key_id) == 1

    def needs_touch(self, key: ApiKey) -> bool:
        """Tells whether the last recorded use is so long ago that this one is to be recorded."""
        return key.last_used_at is None or key.last_used_at <= self._clock.now() - TOUCHED_EVERY

    async def touch(self, tx: Transaction, key_id: str) -> None:
        """Records that a key is used now, unless a use was recorded a moment ago."""
        now = self._clock.now()
        await tx.execute(_TOUCH, key_id, now, now - TOUCHED_EVERY + 1)

    async def forget_expired(self, tx: Transaction) -> None:
        """Deletes keys that expired longer than KEPT_AFTER_END ago."""
        await tx.execute(_FORGET, self._clock.now() - KEPT_AFTER_END)


def _api_key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        user_id=row["user_id"],
        name=row["name"],
        scopes=tuple(row["scopes"].split()),
        digest=bytes(row["digest"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
    )
