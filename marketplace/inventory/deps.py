"""The dependencies of Inventory's use cases, put together once by the composition root."""

from dataclasses import dataclass, field

from marketplace.inventory.ports import ShortageHints
from marketplace.inventory.store.stock import StockStore
from marketplace.inventory.store.turns import Turns
from souk.sdk import Clock, Database, Outbox, TwoPhaseParticipant


@dataclass(frozen=True, slots=True)
class Deps:
    """The database, the store, the outbox for events, the shortage hints, the clock, two-phase commits, and turns."""

    database: Database
    stock: StockStore
    outbox: Outbox
    hints: ShortageHints
    clock: Clock
    participant: TwoPhaseParticipant
    turns: Turns = field(default_factory=Turns)
