"""The erased users of a service, whose data it must not store again.

A token outlives the account that it names by up to its lifetime, and a call of its owner may be under
way while the account is erased. So each service that stores data by user records the erased users in
its own database, and code that writes such data checks that record in its own transaction:

- The consumer of the erasure's event calls `erase`, in the transaction that deletes the data.
- A writer calls `require_known` before it writes. Both functions hold one lock for the user. So a concurrent write
  commits either before the erasure, which deletes it, or after the erasure, and is refused.
- `IS_NOT_ERASED` is a condition for a statement that may not wait for a lock. Where transactions run side by
  side it can miss a concurrent erasure; a service that uses it deletes again, now and then.
"""

from souk.kernel.errors import Unauthenticated
from souk.store.database import Transaction

IS_NOT_ERASED = "NOT EXISTS (SELECT 1 FROM souk_erased_subjects WHERE subject = {})"
"""A condition in SQL that is true if the subject that the braces name is not erased."""
ALL_ERASED = "SELECT subject FROM souk_erased_subjects"
"""A SELECT of all erased subjects, for a condition with IN."""

_IS_ERASED = "SELECT subject FROM souk_erased_subjects WHERE subject = $1"


class ErasedSubjects:
    """The erased users of one database. They are kept for ever, since a user's id is never used again."""

    async def erase(self, tx: Transaction, subject: str) -> None:
        """Records a user as erased: from the end of this transaction on, `require_known` refuses the user."""
        await tx.lock(_lock(subject))
        await tx.execute(
            f"INSERT INTO souk_erased_subjects (subject, erased_at) VALUES ($1, {tx.dialect.now})"
            " ON CONFLICT (subject) DO NOTHING",
            subject,
        )

    async def require_known(self, tx: Transaction, subject: str) -> None:
        """Raises Unauthenticated for an erased user; else the user cannot be erased until this transaction ends."""
        await tx.lock(_lock(subject))
        if await tx.fetch_one(_IS_ERASED, subject) is not None:
            raise account_erased()


def account_erased() -> Unauthenticated:
    """Makes the refusal of a caller whose account was erased: the token is genuine, but its account is gone."""
    return Unauthenticated("the account of this token was deleted")


def _lock(subject: str) -> str:
    return f"souk_subject:{subject}"
