"""A participant of two-phase commits: its branches are prepared transactions of its own database."""

from typing import TypeVar

from souk.kernel.errors import DomainError
from souk.store.database import Database, PreparedTransaction, PreparedTransactions, Transaction, Work
from souk.two_phase_commit import branches
from souk.two_phase_commit.branches import BranchEnd

T = TypeVar("T")

UNAVAILABLE = "TWO_PHASE_COMMIT_UNAVAILABLE"
ROLLED_BACK = "TRANSACTION_ROLLED_BACK"
COMMITTED = "TRANSACTION_COMMITTED"
NOT_FOUND = "TRANSACTION_NOT_FOUND"


class TwoPhaseParticipant:
    """Prepares, commits and rolls back branches in `database`. A key names one branch for ever.

    Its methods refuse with DomainError; the reasons are those above, which a participant's contract lists.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._limit: int | None = None

    async def prepare(self, key: str, work: Work[T]) -> T:
        """Runs `work` and leaves its transaction prepared: it can be committed, and its locks are held until it ends.

        When it raises, nothing is prepared; but after StoreUnavailable it may be. Raises UNAVAILABLE if the database
        takes no prepared transactions, ROLLED_BACK if the branch has ended, and what `work` raises. What `work` does
        is limited as for `PreparedTransactions.prepare`.
        """
        transactions = await self._transactions()

        async def whole(tx: Transaction) -> T:
            if not await branches.insert(tx, key, BranchEnd.COMMITTED):
                raise DomainError(ROLLED_BACK, "this transaction has ended already")
            return await work(tx)

        return await transactions.prepare(key, whole)

    async def commit(self, key: str) -> None:
        """Commits the branch; a repeat changes nothing. Raises NOT_FOUND, ROLLED_BACK, StoreUnavailable."""
        transactions = await self._transactions()
        if await transactions.commit(key):
            return
        end = await self._end_of(key)
        if end is None:
            raise DomainError(NOT_FOUND, "nothing is prepared under this key")
        if end is BranchEnd.ROLLED_BACK:
            raise DomainError(ROLLED_BACK, "this transaction was rolled back")

    async def roll_back(self, key: str) -> None:
        """Rolls the branch back, and blocks its key for good; a repeat changes nothing.

        Raises COMMITTED, StoreUnavailable.
        """
        transactions = await self._transactions()
        await transactions.roll_back(key)

        # A prepare that comes in between makes this insert wait, and fail; the next try rolls that branch back.
        async def block(tx: Transaction) -> bool:
            return await branches.insert(tx, key, BranchEnd.ROLLED_BACK)

        blocked = await self._database.run(block, guarded=True)
        if not blocked and await self._end_of(key) is BranchEnd.COMMITTED:
            raise DomainError(COMMITTED, "this transaction was committed")

    async def standing(self) -> list[PreparedTransaction]:
        """Returns the branches that are prepared and have not ended, the oldest first; none without the means."""
        return [] if self._database.prepared is None else await self._database.prepared.standing()

    async def _transactions(self) -> PreparedTransactions:
        prepared = self._database.prepared
        if prepared is not None and not self._limit:
            self._limit = await prepared.limit()
        if prepared is None or not self._limit:
            raise DomainError(UNAVAILABLE, "this database takes no prepared transactions")
        return prepared

    async def _end_of(self, key: str) -> BranchEnd | None:
        return await self._database.read(lambda tx: branches.find(tx, key), single=True)
