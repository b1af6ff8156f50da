"""What Payment has recorded for the steps of an order: payments, refunds, and the postings of both."""

from collections.abc import Iterator, Sequence

from souk.sdk import Recorded, RecordQuery, Row, Transaction, changes_of, format_amount

MOST = 500


async def records(tx: Transaction, query: RecordQuery) -> Sequence[Recorded]:
    """Returns what was done under the keys of steps. Cards and buyers are not named."""
    if not query.keys:
        return []
    columns = "id, key, amount, refunded, currency, status, decline_reason, created_at, history"
    payments = await tx.fetch(f"SELECT {columns} FROM payments WHERE key IN ({_names(query.keys)})", *query.keys)
    if not payments:
        return []
    ids = [row["id"] for row in payments]
    refunds = await tx.fetch(f"SELECT * FROM refunds WHERE payment_id IN ({_names(ids)}) LIMIT {MOST}", *ids)
    transactions = [*(f"charge/{one}" for one in ids), *(f"refund/{row['id']}" for row in refunds)]
    sql = f"SELECT * FROM postings WHERE transaction_id IN ({_names(transactions)}) LIMIT {MOST}"
    currency, postings = payments[0]["currency"], await tx.fetch(sql, *transactions)
    posted = {row["transaction_id"]: row["created_at"] for row in postings}
    return [
        *(one for row in payments for one in _payment(row)),
        *(one for row in refunds for one in _refund(row, currency, posted)),
        *map(_posting, postings),
    ]


def _names(values: Sequence[str]) -> str:
    return ", ".join(f"${number}" for number in range(1, len(values) + 1))


def _payment(row: Row) -> Iterator[Recorded]:
    amount, about = format_amount(row["amount"], row["currency"]), f"{row['id']} for {row['key']}"
    changes = changes_of(row["history"])
    if not changes:
        detail = f"{about}; when it came to this was not kept"
        what = f"{amount} is {_status(row['status'], row)}"
        yield Recorded(row["created_at"], "payment", what, detail, state_of=row["id"])
    for change in changes:
        status, _, cancelled = change.what.partition(" ")
        what = f"{amount} is {_status(status, row)}{', and cancelled' if cancelled else ''}"
        yield Recorded(change.at, "payment", what, about, state_of=row["id"])


def _status(status: str, row: Row) -> str:
    return f"{status}, {row['decline_reason']}" if status == row["status"] and row["decline_reason"] else status


def _refund(row: Row, currency: str, posted: dict[str, int]) -> Iterator[Recorded]:
    amount, detail = (
        format_amount(row["amount"], currency),
        f"{row['id']}{': ' if row['reason'] else ''}{row['reason']}",
    )
    yield Recorded(row["created_at"], "refund", f"{amount} is to be given back", detail, state_of=row["id"])
    if row["done"]:
        at = posted.get(f"refund/{row['id']}", row["created_at"])
        yield Recorded(at, "refund", f"{amount} was given back", detail, state_of=row["id"])


def _posting(row: Row) -> Recorded:
    amount = format_amount(row["amount"], row["currency"])
    account = row["account"].partition("/")[0]
    return Recorded(row["created_at"], "ledger", f"{amount} to {account}", row["transaction_id"])
