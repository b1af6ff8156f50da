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
    """Stores the double-entry ledger, which only grows, and the wallets; a transaction's postings sum to zero."""

    async def lock(self, tx: Transaction, user_id: str) -> None:
        """Makes other top-ups of a user's wallet wait until the transaction ends."""
        await tx.lock(f"wallet:{user_id}")

    async def transfer(
        self, tx: Transaction, transaction_id: str, source: str, target: str, payment: Payment, amount: int, now: int
    ) -> None:
        """Moves an amount between two accounts, in the currency of the payment. Each `transaction_id` is used once.

        It writes two postings in one statement, so they always sum to zero.
        """
        await tx.write(_POST, transaction_id, source, target, payment.currency, amount, now)

    async def debit_wallet(self, tx: Transaction, user_id: str, amount: int, currency: str) -> bool:
        """Takes an amount from a wallet; returns False when it has less in that currency."""
        return await tx.execute(_DEBIT, user_id, amount, currency) == 1

    async def credit_wallet(self, tx: Transaction, user_id: str, amount: int, currency: str) -> None:
        """Adds to a wallet of that currency or one never used; raises RuntimeError for a wallet of another currency."""
        if await tx.execute(_CREDIT, user_id, amount, currency, True) != 1:
            raise RuntimeError("a wallet that was used has changed its currency")

    async def claim_currency(self, tx: Transaction, user_id: str, currency: str) -> Wallet:
        """Locks and returns the wallet; one that was never used gets that currency."""
        await tx.execute(_CLAIM, user_id, currency, False)
        return _to_wallet(await tx.fetch_one(f"{_WALLET} {tx.dialect.for_update}", user_id))

    async def wallet(self, tx: Transaction, user_id: str) -> Wallet:
        """Returns the wallet; an empty one for a user who never had any."""
        return _to_wallet(await tx.fetch_one(_WALLET, user_id))


def _to_wallet(row: Row | None) -> Wallet:
    return Wallet(0, "") if row is None else Wallet(row["balance"], row["currency"])
