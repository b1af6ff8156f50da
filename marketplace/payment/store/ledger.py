"""The ledger and the wallets in SQL."""

from marketplace.payment.domain import Payment, Wallet
from souk.sdk import Row, Transaction

_POST = """
    INSERT INTO postings (transaction_id, account, currency, amount, created_at)
    VALUES ($1, $2, $4, -CAST($5 AS BIGINT), $6), ($1, $3, $4, $5, $6)
"""
_DEBIT = "UPDATE wallets SET balance = balance - $2 WHERE user_id = $1 AND currency = $3 AND balance >= $2"
_CREDIT = """
    INSERT INTO wallets (user_id, currency, balance, used) VALUES ($1, $3, $2, $4)
    ON CONFLICT (user_id) DO UPDATE SET balance = wallets.balance + $2, currency = $3, used = $4
    WHERE wallets.currency = $3 OR NOT wallets.used
"""
_CLAIM = """
    INSERT INTO wallets (user_id, currency, balance, used) VALUES ($1, $2, 0, $3)
    ON CONFLICT (user_id) DO UPDATE SET currency = $2 WHERE NOT wallets.used
"""
_WALLET = "SELECT balance, currency FROM wallets WHERE user_id = $1"


class LedgerStore:
    """Double-entry books: only added to; a transaction's postings sum to zero."""

    async def lock(self, tx: Transaction, user_id: str) -> None:
        """Keeps other top-ups of a user's wallet waiting until the transaction ends."""
        await tx.lock(f"wallet:{user_id}")

    async def transfer(
        self, tx: Transaction, transaction_id: str, source: str, target: str, payment: Payment, amount: int, now: int
    ) -> None:
        """Moves an amount between two accounts, in the currency of the payment. An id is used once.

        Two postings in one statement: they sum to zero by construction.
        """
        await tx.write(_POST, transaction_id, source, target, payment.currency, amount, now)

    async def debit_wallet(self, tx: Transaction, user_id: str, amount: int, currency: str) -> bool:
        """Takes from a wallet if it has that much in that currency."""
        return await tx.execute(_DEBIT, user_id, amount, currency) == 1

    async def credit_wallet(self, tx: Transaction, user_id: str, amount: int, currency: str) -> None:
        """Adds to a wallet, which has that currency or has never been used; raises RuntimeError if not."""
        if await tx.execute(_CREDIT, user_id, amount, currency, True) != 1:
            raise RuntimeError("a wallet that was used has changed its currency")

    async def claim_currency(self, tx: Transaction, user_id: str, currency: str) -> Wallet:
        """The wallet, locked, and in that currency if it was never used."""
        await tx.execute(_CLAIM, user_id, currency, False)
        return _to_wallet(await tx.fetch_one(f"{_WALLET} {tx.dialect.for_update}", user_id))

    async def wallet(self, tx: Transaction, user_id: str) -> Wallet:
        """The wallet as it is; an empty one for whoever never had any."""
        return _to_wallet(await tx.fetch_one(_WALLET, user_id))


def _to_wallet(row: Row | None) -> Wallet:
    return Wallet(0, "") if row is None else Wallet(row["balance"], row["currency"])
