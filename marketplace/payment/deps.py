"""What every use case of Payment works with, put together once by the composition root."""

from dataclasses import dataclass, field
from typing import TypeVar

from marketplace.payment.failing_cards import FailingCards
from marketplace.payment.key_locks import KeyLocks
from marketplace.payment.ports import Announcer, CardProvider, Cards, Ledger, Payments
from souk.faults import Faults
from souk.kernel.clock import MICROSECONDS, Clock
from souk.store.database import Database, Work
from souk.store.erased_subjects import ErasedSubjects

T = TypeVar("T")

GRACE = 10 * MICROSECONDS
"""How long after its intent a charge is left to whoever recorded it."""


@dataclass(frozen=True, slots=True)
class Office:
    """The ports, the clock, the locks by key, and who tries cards that fail."""

    database: Database
    payments: Payments
    ledger: Ledger
    cards: Cards
    announcer: Announcer
    provider: CardProvider
    clock: Clock
    faults: Faults
    locks: KeyLocks = field(default_factory=KeyLocks)
    failures: FailingCards = field(default_factory=FailingCards)
    erased: ErasedSubjects = field(default_factory=ErasedSubjects)

    async def run(self, work: Work[T]) -> T:
        """Runs a transaction. Each of them is guarded by what it locks and writes: docs/decisions/0002-isolation.md."""
        return await self.database.run(work, guarded=True)

    def recovery_time(self) -> int:
        """When an intent that is recorded now becomes due for recovery."""
        return self.clock.now() + GRACE
