"""What Payment counts of money, by currency in minor units, for the invariants that the app states."""

from collections.abc import Mapping

from souk.sdk import Account, Transaction

_TAKEN = "status IN ('CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED')"
_KEPT = f"SELECT currency, CAST(SUM(amount - refunded) AS BIGINT) AS amount FROM payments WHERE {_TAKEN}"


def _account(sql: str) -> Account:
    async def read(tx: Transaction) -> Mapping[str, int]:
        return {row["currency"]: row["amount"] for row in await tx.fetch(sql)}

    return read


def _posted(account: str, sign: str = "") -> str:
    return (
        f"SELECT currency, CAST(SUM({sign}amount) AS BIGINT) AS amount FROM postings "
        f"WHERE account {account} GROUP BY currency"
    )


ACCOUNTS: Mapping[str, Account] = {
    "kept of orders": _account(f"{_KEPT} AND purpose = 'order' GROUP BY currency"),
    "kept of cards": _account(f"{_KEPT} AND source <> 'wallet' GROUP BY currency"),
    "postings": _account(_posted("IS NOT NULL")),
    "owed by the bank": _account(_posted("= 'bank'", "-")),
    "posted to wallets": _account(_posted("LIKE 'wallet/%'")),
    "in wallets": _account(
        "SELECT currency, CAST(SUM(balance) AS BIGINT) AS amount FROM wallets WHERE balance <> 0 GROUP BY currency"
    ),
}
