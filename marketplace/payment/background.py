"""Differences between the provider's record and the book, as numbers for Prometheus.

souk_payment_provider_differences_total{kind}    differences that were found
souk_payment_failed_refunds                      refunds that the provider keeps failing to make
"""

from collections.abc import Callable, Sequence

from marketplace.payment.use_cases.reconcile_provider import Difference
from souk.telemetry.metrics import Collector, MeasuredAtScrape, counter


class Differences:
    """Counts them by kind; all kinds are there from the start."""

    def __init__(self) -> None:
        text = "Differences between the card provider's record and the book."
        self._counter = counter("souk_payment_provider_differences", text, ("kind",))
        for kind in Difference:
            self._counter.labels(kind.value)

    def count(self, difference: Difference) -> None:
        """One more."""
        self._counter.labels(difference.value).inc()

    def collectors(self, failed_refunds: Callable[[], int]) -> Sequence[Collector]:
        """What is to be registered."""
        text = "Refunds that the card provider keeps failing to make; ask for them again."
        gauge = MeasuredAtScrape("souk_payment_failed_refunds", text, (), lambda: [({}, float(failed_refunds()))])
        return (self._counter, gauge)
