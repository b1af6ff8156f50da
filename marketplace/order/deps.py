"""The dependencies of Order's use cases, put together once by the composition root."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from marketplace.order.ports import AddressBook, Catalogue, Payments
from marketplace.order.saga.coordinators import PlacingCoordinators
from marketplace.order.store.lost_charges import LostChargeStore
from marketplace.order.store.orders import OrderStore
from souk.sdk import Clock, Database, DomainError, Inbox, SagaRunner, TwoPhaseCoordinator, current

MAX_WAITERS = 100
DEFAULT_TIMEOUT = 10.0
ANSWER_BEFORE = 0.5
"""Seconds before the request's deadline at which an order that is not final is answered (202)."""


class WaitingRequests:
    """Counts the requests that wait in this process for the answer to a key, by buyer and key."""

    def __init__(self) -> None:
        self._waiting: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def one_more(self, user_id: str, key: str) -> Iterator[None]:
        """Counts one for as long as it waits; raises REQUEST_IN_PROGRESS if as many wait as may."""
        waiter = (user_id, key)
        if self._waiting[waiter] >= MAX_WAITERS:
            raise DomainError("REQUEST_IN_PROGRESS", "too many requests wait for this key", retry_after=1.0)
        self._waiting[waiter] += 1
        try:
            yield
        finally:
            self._waiting[waiter] -= 1
            if not self._waiting[waiter]:
                del self._waiting[waiter]


@dataclass(frozen=True, slots=True)
class Deps:
    """The database, the store, the ports to other services, the saga runner, the clock, and who waits for a key.

    `two_phase` is the other coordinator, None on a database without prepared transactions.
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
    waiting: WaitingRequests = field(default_factory=WaitingRequests)
    two_phase: TwoPhaseCoordinator | None = None
    prefers_two_phase: bool = False

    @property
    def placing(self) -> PlacingCoordinators:
        """The coordinators that place orders."""
        return PlacingCoordinators(self.runner, self.two_phase, self.prefers_two_phase)

    def answer_by(self) -> float:
        """Returns the latest time to answer, in monotonic seconds: a little before the caller's deadline."""
        deadline = current().deadline
        return (self.clock.monotonic() + DEFAULT_TIMEOUT if deadline is None else deadline) - ANSWER_BEFORE
