"""Which coordinator places an order: the saga, or, if it is set and the wallet pays, two-phase commit.

Runs of both are waited for and end, whatever is set now: the setting may have changed while an order was placed.
"""

from dataclasses import dataclass
from typing import Protocol

from marketplace.order.domain.order import Order
from souk.sdk import SagaProgress, SagaRef, SagaRunner, Transaction, TwoPhaseCoordinator

WALLET = "wallet"
"""The payment method that Payment can charge within a transaction."""


class PlacingCoordinator(Protocol):
    """Starts runs, waits for them, and tells their progress; the saga's runner and two-phase commit's coordinator."""

    async def start(
        self,
        tx: Transaction,
        name: str,
        subject: str,
        attempt: int,
        payload: bytes,
        on_behalf_of: str = "",
        /,
    ) -> SagaRef: ...

    async def wait(self, ref: SagaRef, until: float) -> SagaProgress: ...

    async def wait_ended(self, ref: SagaRef, until: float) -> SagaProgress: ...

    async def open(self, tx: Transaction, subject: str) -> bool: ...

    async def progress(self, tx: Transaction, ref: SagaRef) -> SagaProgress: ...


@dataclass(frozen=True, slots=True)
class PlacingCoordinators:
    """Both coordinators; `two_phase` is None on a database that has no prepared transactions.

    With `prefers_two_phase`, new orders that the wallet pays are placed by it.
    """

    saga: SagaRunner
    two_phase: TwoPhaseCoordinator | None = None
    prefers_two_phase: bool = False

    def of(self, order: Order) -> PlacingCoordinator:
        """Returns the coordinator that is to place this order."""
        if self.two_phase is not None and self.prefers_two_phase and order.payment_method == WALLET:
            return self.two_phase
        return self.saga

    async def wait(self, ref: SagaRef, until: float) -> SagaProgress:
        """Waits for the outcome of a run, or until `until` (monotonic seconds). Raises LookupError without a run."""
        first, second = self._in_turn()
        try:
            return await first.wait(ref, until)
        except LookupError:
            if second is None:
                raise
            return await second.wait(ref, until)

    async def wait_ended(self, ref: SagaRef, until: float) -> SagaProgress:
        """Waits until nothing of a run is left to do, or until `until`. Raises LookupError without a run."""
        first, second = self._in_turn()
        try:
            return await first.wait_ended(ref, until)
        except LookupError:
            if second is None:
                raise
            return await second.wait_ended(ref, until)

    async def open(self, tx: Transaction, subject: str) -> bool:
        """Returns whether a run of `subject` has not ended."""
        if await self.saga.open(tx, subject):
            return True
        return self.two_phase is not None and await self.two_phase.open(tx, subject)

    async def progress(self, tx: Transaction, ref: SagaRef) -> SagaProgress:
        """Returns the progress of a run, as `tx` sees it. Raises LookupError without a run."""
        first, second = self._in_turn()
        try:
            return await first.progress(tx, ref)
        except LookupError:
            if second is None:
                raise
            return await second.progress(tx, ref)

    def _in_turn(self) -> tuple[PlacingCoordinator, PlacingCoordinator | None]:
        """Returns the coordinator that most likely has a run, and the other one."""
        if self.two_phase is None:
            return self.saga, None
        return (self.two_phase, self.saga) if self.prefers_two_phase else (self.saga, self.two_phase)
