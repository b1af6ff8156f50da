"""What Inventory has recorded for the steps of an order: what became of its reservations, and which pieces moved."""

import json
from collections.abc import Iterator, Sequence

from marketplace.inventory.domain import State, moves_between
from souk.sdk import Recorded, RecordQuery, Row, Transaction, changes_of

_STOCK = "stock"


async def records(tx: Transaction, query: RecordQuery) -> Sequence[Recorded]:
    """Returns every state of the reservations under the keys of steps."""
    if not query.keys:
        return []
    names = ", ".join(f"${number}" for number in range(1, len(query.keys) + 1))
    rows = await tx.fetch(f"SELECT * FROM reservations WHERE key IN ({names})", *query.keys)
    return [one for row in rows for one in _reservation(row)]


def _reservation(row: Row) -> Iterator[Recorded]:
    key, items = row["key"], json.loads(row["items"]) if row["items"] else []
    pieces = ", ".join(f"{quantity} of {product}" for product, quantity in items) or "nothing"
    changes, before = changes_of(row["history"]), None
    if not changes:
        detail = f"under {key}; when it came to this was not kept"
        yield Recorded(row["created_at"], _STOCK, f"{pieces}: {row['state']}", detail, state_of=key)
    for change in changes:
        after = State(change.what)
        moved = ", then ".join(move.value for move in moves_between(before, after)) if items else ""
        detail = f"{moved}, under {key}" if moved else f"under {key}"
        yield Recorded(change.at, _STOCK, f"{pieces}: {after.value}", detail, state_of=key)
        before = after
