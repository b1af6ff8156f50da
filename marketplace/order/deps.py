"""What every use case of Order works with, put together once by the composition root."""

from collections import Counter
from dataclasses import dataclass, field

from marketplace.order.ports import AddressBook, Catalogue, Payments
from marketplace.order.store.orders import OrderStore
from souk.sdk import Clock, Database, Inbox, SagaRunner


@dataclass(frozen=True, slots=True)
class Deps:
    """The database, the store, the other services, the runner of the sagas, and the clock.

    `waiting` counts the requests that wait in this process, by buyer and key.
    """

    database: Database
    orders: OrderStore
    catalogue: Catalogue
    addresses: AddressBook
    payments: Payments
    runner: SagaRunner
    clock: Clock
    inbox: Inbox = field(default_factory=Inbox)
    waiting: Counter[tuple[str, str]] = field(default_factory=Counter)
