"""What Analytics has counted of confirmed orders, in minor units by currency, for the invariants of the app."""

from collections.abc import Mapping

from marketplace.analytics.store.figures import GENERATIONS
from souk.sdk import Account, Transaction

_SALES = f"""
    SELECT currency, CAST(SUM(CASE measure WHEN 'sales' THEN amount ELSE -amount END) AS BIGINT) AS amount
    FROM figures WHERE measure IN ('sales', 'refunds') AND generation = {GENERATIONS.live} GROUP BY currency
"""


async def _sales(tx: Transaction) -> Mapping[str, int]:
    return {row["currency"]: row["amount"] for row in await tx.fetch(_SALES)}


ACCOUNTS: Mapping[str, Account] = {"sales without refunds": _sales}
