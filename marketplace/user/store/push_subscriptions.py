"""Browsers that show messages, in SQL; every statement is restricted to one user, or to one browser."""

from collections.abc import Sequence

from marketplace.user.domain.push_subscription import MOST_SUBSCRIPTIONS, PushSubscription
from marketplace.user.store.cursor import Cursor
from souk.sdk import Row, Transaction

_COLUMNS = "id, user_id, endpoint, public_key, secret, created_at"
_LEAVE = "DELETE FROM push_subscriptions WHERE endpoint = $1 AND user_id <> $2"
_ADD = f"""
    INSERT INTO push_subscriptions ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (endpoint) DO UPDATE SET public_key = excluded.public_key, secret = excluded.secret"""
_ONE = f"SELECT {_COLUMNS} FROM push_subscriptions WHERE endpoint = $1"
_DROP_OLDEST = """
    DELETE FROM push_subscriptions WHERE user_id = $1 AND id NOT IN (
        SELECT id FROM push_subscriptions WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2)"""
_LIST = f"""
    SELECT {_COLUMNS} FROM push_subscriptions WHERE user_id = $1 AND (created_at, id) > ($2, $3)
    ORDER BY created_at, id LIMIT $4"""
_REMOVE = "DELETE FROM push_subscriptions WHERE user_id = $1 AND id = $2"
_FORGET = "DELETE FROM push_subscriptions WHERE user_id = $1 AND endpoint = $2"


class PushSubscriptionStore:
    """Stores the browsers of users, in the caller's transaction. A browser belongs to one user at a time."""

    async def add(self, tx: Transaction, new: PushSubscription) -> PushSubscription | None:
        """Adds a browser and returns it, with the id that it had if the user had it already.

        Takes it from another user, and drops the user's oldest over MOST_SUBSCRIPTIONS. Returns None when the user was
        deleted.
        """
        await tx.lock(f"push:{new.user_id}")  # adding and dropping are one step: transactions take turns
        # Locks the user's row: a concurrent erasure comes before or after, never between.
        if not await tx.fetch_one(f"SELECT id FROM users WHERE id = $1 {tx.dialect.for_update}", new.user_id):
            return None
        await tx.execute(_LEAVE, new.endpoint, new.user_id)
        values = (new.id, new.user_id, new.endpoint, new.public_key, new.secret, new.created_at)
        await tx.execute(_ADD, *values)
        await tx.execute(_DROP_OLDEST, new.user_id, MOST_SUBSCRIPTIONS)
        row = await tx.fetch_one(_ONE, new.endpoint)
        return _subscription(row) if row else None

    async def list(self, tx: Transaction, user_id: str, after: Cursor | None, limit: int) -> Sequence[PushSubscription]:
        """Returns at most `limit` of the user's browsers, the oldest first, starting right after `after`."""
        after = after or Cursor(-1, "")
        rows = await tx.fetch(_LIST, user_id, after.created_at, after.row_id, limit)
        return [_subscription(row) for row in rows]

    async def remove(self, tx: Transaction, user_id: str, subscription_id: str) -> bool:
        """Deletes one of the user's browsers; returns False when the user has none of that id."""
        return await tx.execute(_REMOVE, user_id, subscription_id) == 1

    async def forget(self, tx: Transaction, user_id: str, endpoint: str) -> None:
        """Deletes the user's browser at an endpoint, if it is known."""
        await tx.execute(_FORGET, user_id, endpoint)


def _subscription(row: Row) -> PushSubscription:
    return PushSubscription(
        id=row["id"],
        user_id=row["user_id"],
        endpoint=row["endpoint"],
        public_key=row["public_key"],
        secret=row["secret"],
        created_at=row["created_at"],
    )
