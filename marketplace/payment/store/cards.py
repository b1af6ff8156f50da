"""Saved cards in SQL."""

from marketplace.payment.domain import Card
from souk.sdk import Row, Transaction

_COLUMNS = "id, user_id, token, brand, last4, is_default, forgotten, created_at"
_INSERT = f"INSERT INTO cards ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
_FIND = f"SELECT {_COLUMNS} FROM cards WHERE id = $1 AND user_id = $2"
_DEFAULT = f"SELECT {_COLUMNS} FROM cards WHERE user_id = $1 AND is_default AND NOT forgotten"
_OLDEST = f"SELECT {_COLUMNS} FROM cards WHERE user_id = $1 AND NOT forgotten ORDER BY id LIMIT 1"
_UNSET = "UPDATE cards SET is_default = $2 WHERE user_id = $1 AND is_default"
_SET = "UPDATE cards SET is_default = $2 WHERE id = $1"
_COUNT = "SELECT COUNT(*) AS n FROM cards WHERE user_id = $1 AND NOT forgotten"
_FORGET = """
    UPDATE cards SET is_default = $2, forgotten = $3,
        forgotten_at = (SELECT MAX(c.forgotten_at) + 1 FROM cards c WHERE c.user_id = $4)
    WHERE id = $1
"""
_KEEP_LAST_FORGOTTEN = """
    DELETE FROM cards WHERE user_id = $1 AND forgotten AND forgotten_at <= (
        SELECT MAX(c.forgotten_at) FROM cards c WHERE c.user_id = $1
    ) - CAST($2 AS BIGINT)
"""
_ERASE = "DELETE FROM cards WHERE user_id = $1"
_PAGE = f"""
    SELECT {_COLUMNS} FROM cards
    WHERE user_id = $1 AND NOT forgotten
        AND (CASE WHEN is_default THEN 0 ELSE 1 END > $2
            OR (CASE WHEN is_default THEN 0 ELSE 1 END = $2 AND id > $3))
    ORDER BY CASE WHEN is_default THEN 0 ELSE 1 END, id LIMIT $4
"""


class CardStore:
    """Stores saved cards, in the caller's transaction."""

    async def insert(self, tx: Transaction, card: Card) -> None:
        """Saves a card."""
        c = card
        await tx.execute(_INSERT, c.id, c.user_id, c.token, c.brand, c.last4, c.is_default, c.forgotten, c.created_at)

    async def find(self, tx: Transaction, card_id: str, user_id: str) -> Card | None:
        """Returns a user's card, forgotten or not."""
        return _maybe(await tx.fetch_one(_FIND, card_id, user_id))

    async def count(self, tx: Transaction, user_id: str) -> int:
        """Returns the number of a user's cards that are not forgotten."""
        row = await tx.fetch_one(_COUNT, user_id)
        return int(row["n"]) if row else 0

    async def default(self, tx: Transaction, user_id: str) -> Card | None:
        """Returns the default card, which the payment method "card" stands for."""
        return _maybe(await tx.fetch_one(_DEFAULT, user_id))

    async def oldest(self, tx: Transaction, user_id: str) -> Card | None:
        """Returns the oldest card, which becomes the default when there is none."""
        return _maybe(await tx.fetch_one(_OLDEST, user_id))

    async def set_default(self, tx: Transaction, user_id: str, card_id: str) -> None:
        """Makes a card the user's only default."""
        await tx.execute(_UNSET, user_id, False)
        await tx.execute(_SET, card_id, True)

    async def forget(self, tx: Transaction, card: Card, most: int) -> None:
        """Hides a card from its user; of the hidden cards only the last `most` are kept."""
        await tx.execute(_FORGET, card.id, False, True, card.user_id)
        await tx.execute(_KEEP_LAST_FORGOTTEN, card.user_id, most)

    async def erase(self, tx: Transaction, user_id: str) -> None:
        """Deletes all cards of a user."""
        await tx.execute(_ERASE, user_id)

    async def page(self, tx: Transaction, user_id: str, after: tuple[int, str] | None, limit: int) -> list[Card]:
        """Returns a page of a user's cards: the default (rank 0), then the others (rank 1) by id, after `after`."""
        rank, card_id = after or (-1, "")
        return [_to_card(row) for row in await tx.fetch(_PAGE, user_id, rank, card_id, limit)]


def _maybe(row: Row | None) -> Card | None:
    return None if row is None else _to_card(row)


def _to_card(row: Row) -> Card:
    return Card(
        id=row["id"],
        user_id=row["user_id"],
        token=row["token"],
        brand=row["brand"],
        last4=row["last4"],
        is_default=bool(row["is_default"]),
        forgotten=bool(row["forgotten"]),
        created_at=row["created_at"],
    )
