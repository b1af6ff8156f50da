"""Charges without an order, as a number for Prometheus.

souk_order_lost_charges_total{kind}    charges in Payment's book that no order stands behind
"""

from collections.abc import Sequence

from marketplace.order.use_cases.find_lost_charges import Loss
from souk.telemetry.metrics import Collector, counter


class LostCharges:
    """Counts them by kind; all kinds are there from the start."""

    def __init__(self) -> None:
        text = "Charges in Payment's book that no order stands behind."
        self._counter = counter("souk_order_lost_charges", text, ("kind",))
        for kind in Loss:
            self._counter.labels(kind.value)

    def count(self, loss: Loss) -> None:
        """One more."""
        self._counter.labels(loss.value).inc()

    @property
    def collectors(self) -> Sequence[Collector]:
        """What is to be registered."""
        return (self._counter,)
