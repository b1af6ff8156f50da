"""Whose data a service must not keep any more.

A token outlives the account that it names by up to its lifetime, and a call of its owner may be on the
way while the account is erased. So each service that keeps data by user remembers whom it has erased,
in its own database, and whatever writes such data looks there in its own transaction:

- `erase` is called by the consumer of the event that tells of the erasure, in the transaction that
  deletes the data.
- `require_known` is called by a writer before it writes. Both hold one lock of that user, so a write
  that comes at the same time commits before the erasure, and is deleted by it, or after it, and is refused.
- `IS_NOT_ERASED` is a condition for a statement that may not wait for a lock. Where transactions run side by
  side it can miss an erasure at the same moment: then the service deletes again, now and then.
"""

from souk.kernel.errors import Unauthenticated
from souk.store.database import Transaction

IS_NOT_ERASED = "NOT EXISTS (SELECT 1 FROM souk_erased_subjects WHERE subject = {})"
"""A condition in SQL, true while the subject that the braces name is not erased."""
ALL_ERASED = "SELECT subject FROM souk_erased_subjects"
"""All who were erased, for a condition with IN."""

_IS_ERASED = "SELECT subject FROM souk_erased_subjects WHERE subject = $1"


class ErasedSubjects:
    """Those whom the service of one database has erased. Kept for ever: an id is never given again."""

    async def erase(self, tx: Transaction, subject: str) -> None:
        """From the end of this transaction on, nothing of this user is taken."""
        await tx.lock(_lock(subject))
        await tx.execute(
            f"INSERT INTO souk_erased_subjects (subject, erased_at) VALUES ($1, {tx.dialect.now})"
            " ON CONFLICT (subject) DO NOTHING",
            subject,
        )

    async def require_known(self, tx: Transaction, subject: str) -> None:
        """Raises Unauthenticated for somebody who was erased; nobody is erased until this transaction ends."""
        await tx.lock(_lock(subject))
        if await tx.fetch_one(_IS_ERASED, subject) is not None:
            raise account_erased()


def account_erased() -> Unauthenticated:
    """The refusal of somebody whose account is gone: the token was theirs, and is worth nothing now."""
    return Unauthenticated("the account of this token was deleted")


def _lock(subject: str) -> str:
    return f"souk_subject:{subject}"
