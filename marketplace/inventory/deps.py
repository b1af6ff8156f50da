"""What every use case of Inventory works with, put together once by the composition root."""

from dataclasses import dataclass, field

from marketplace.inventory.ports import ShortageHints
from marketplace.inventory.store.stock import StockStore
from marketplace.inventory.store.turns import Turns
from souk.sdk import Clock, Database, Outbox


@dataclass(frozen=True, slots=True)
class Deps:
    """The database, the books and what is told of them, the hints, and the clock."""

    database: Database
    stock: StockStore
    outbox: Outbox
    hints: ShortageHints
    clock: Clock
    turns: Turns = field(default_factory=Turns)
