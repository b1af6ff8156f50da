"""The dependencies of Payment's use cases, put together once by the composition root."""

from dataclasses import dataclass, field
from typing import TypeVar

from marketplace.payment.domain import FailingCards
from marketplace.payment.ports import CardProvider
from marketplace.payment.store.cards import CardStore
from marketplace.payment.store.comparison import ComparisonStore
from marketplace.payment.store.differences import DifferenceStore
from marketplace.payment.store.ledger import LedgerStore
from marketplace.payment.store.payments import PaymentStore
from souk.sdk import (
    MICROSECONDS,
    Clock,
    Database,
    ErasedSubjects,
    Faults,
    Inbox,
    KeyLocks,
    Outbox,
    TwoPhaseParticipant,
    Work,
)

T = TypeVar("T")

GRACE = 10 * MICROSECONDS
"""Microseconds after which recovery takes up a charge; until then the request that recorded it goes on with it."""


@dataclass(frozen=True, slots=True)
class Deps:
    """The stores, the outbox, the card provider, the clock, the locks by key, and the count of failing cards."""

    database: Database
    outbox: Outbox
    provider: CardProvider
    clock: Clock
    faults: Faults
    participant: TwoPhaseParticipant
    payments: PaymentStore = field(default_factory=PaymentStore)
    ledger: LedgerStore = field(default_factory=LedgerStore)
    cards: CardStore = field(default_factory=CardStore)
    comparison: ComparisonStore = field(default_factory=ComparisonStore)
    differences: DifferenceStore = field(default_factory=DifferenceStore)
    locks: KeyLocks = field(default_factory=KeyLocks)
    failures: FailingCards = field(default_factory=FailingCards)
    erased: ErasedSubjects = field(default_factory=ErasedSubjects)
    inbox: Inbox = field(default_factory=Inbox)

    async def run(self, work: Work[T]) -> T:
        """Runs a transaction that is guarded by what it locks and writes: docs/decisions/0002-isolation.md."""
        return await self.database.run(work, guarded=True)

    def recovery_time(self) -> int:
        """Returns when an intent that is recorded now becomes due for recovery, in microseconds since 1970."""
        return self.clock.now() + GRACE
