"""The dependencies of Order's use cases, put together once by the composition root."""

from collections import Counter
from dataclasses import dataclass, field

from marketplace.order.ports import AddressBook, Catalogue, Payments
from marketplace.order.store.lost_charges import LostChargeStore
from marketplace.order.store.orders import OrderStore
from souk.sdk import Clock, Database, Inbox, SagaRunner


@dataclass(frozen=True, slots=True)
class Deps:
    """The database, the store, the ports to other services, the saga runner, and the clock.

    `waiting` counts the requests that wait in this process for the answer to a key, by buyer and key.
    """

    database: Database
    orders: OrderStore
    catalogue: Catalogue
    addresses: AddressBook
    payments: Payments
    runner: SagaRunner
    clock: Clock
    lost_charges: LostChargeStore = field(default_factory=LostChargeStore)
    inbox: Inbox = field(default_factory=Inbox)
    waiting: Counter[tuple[str, str]] = field(default_factory=Counter)
