"""What Inventory counts of pieces: of all products, and of each that does not add up, for the app's invariants."""

from collections.abc import Mapping

from souk.sdk import Account, Transaction

MOST = 20
"""Products that are named."""
_ADJUSTED = "(SELECT product_id, CAST(SUM(delta) AS BIGINT) AS pieces FROM adjustments GROUP BY product_id)"
_WRONG = f"""
    SELECT s.product_id FROM stock s LEFT JOIN {_ADJUSTED} a ON a.product_id = s.product_id
    WHERE s.received <> s.available + s.reserved + s.sold OR s.received <> COALESCE(a.pieces, 0)
    ORDER BY s.product_id LIMIT {MOST}
"""


def _account(column: str, table: str) -> Account:
    async def read(tx: Transaction) -> Mapping[str, int]:
        whole = await tx.fetch_one(f"SELECT CAST(COALESCE(SUM({column}), 0) AS BIGINT) AS pieces FROM {table} one")
        wrong = f"SELECT product_id FROM ({_WRONG}) w"
        rows = await tx.fetch(f"SELECT product_id, {column} AS pieces FROM {table} one WHERE product_id IN ({wrong})")
        found = {row["product_id"]: row["pieces"] for row in rows}
        return {"all products": 0 if whole is None else whole["pieces"], **found}

    return read


ACCOUNTS: Mapping[str, Account] = {
    "received": _account("received", "stock"),
    "available": _account("available", "stock"),
    "reserved": _account("reserved", "stock"),
    "sold": _account("sold", "stock"),
    "adjusted": _account("pieces", _ADJUSTED),
}
