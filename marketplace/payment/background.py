"""Background tasks of Payment, and their metrics.

souk_payment_provider_differences_total{kind}    differences that were found between the provider's record and the book
souk_payment_open_differences{kind}              those of them that are open; the same in every replica
souk_payment_failed_refunds                      refunds that the provider keeps failing to make
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from marketplace.payment.deps import Deps
from marketplace.payment.use_cases.reconcile_provider import Difference, Memory, ReconcileProvider, reconcile_provider
from marketplace.payment.use_cases.recover_payments import BATCH, recover_payments
from souk.sdk import Collector, MeasuredAtScrape, counter

RECOVERY_INTERVAL = 1.0
"""Seconds between two searches for unfinished charges and refunds."""


class Differences:
    """Counts differences by kind; all kinds are exported from the start."""

    def __init__(self) -> None:
        text = "Differences that were found between the card provider's record and the book, each once."
        self._counter = counter("souk_payment_provider_differences", text, ("kind",))
        for kind in Difference:
            self._counter.labels(kind.value)

    def count(self, difference: Difference) -> None:
        """Counts one difference."""
        self._counter.labels(difference.value).inc()

    def collectors(self, memory: Memory) -> Sequence[Collector]:
        """Returns the collectors to register; `memory` is what the comparison counted last."""
        text = "Refunds that the card provider keeps failing to make; ask for them again."
        refunds = MeasuredAtScrape("souk_payment_failed_refunds", text, (), lambda: [({}, memory.failed_refunds)])
        text = "Differences between the card provider's record and the book that are not corrected."
        still_open = MeasuredAtScrape(
            "souk_payment_open_differences",
            text,
            ("kind",),
            lambda: [({"kind": kind.value}, memory.open_differences.get(kind.value, 0)) for kind in Difference],
        )
        return (self._counter, refunds, still_open)


def tasks(deps: Deps, reconcile: ReconcileProvider, interval: float) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Returns the tasks by name; each runs until it is cancelled. `interval` is in seconds."""
    return {
        "recover payments": partial(recover_for_ever, deps),
        "reconcile the card provider": partial(reconcile_for_ever, deps, reconcile, interval),
    }


async def recover_for_ever(deps: Deps) -> None:
    """Finishes charges and refunds that were left unfinished, until it is cancelled."""
    while True:
        if await recover_payments(deps) < BATCH:
            await asyncio.sleep(RECOVERY_INTERVAL)


async def reconcile_for_ever(deps: Deps, command: ReconcileProvider, interval: float) -> None:
    """Compares Payment's book with the provider's record, until it is cancelled."""
    while True:
        await reconcile_provider(deps, command)
        await asyncio.sleep(interval)
