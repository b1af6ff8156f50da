"""How often a customer may try cards that the provider refuses to charge: a budget for each, in this process."""

from collections import OrderedDict, deque

MOST = 20
"""Refused tries of one customer within SPAN; then further ones are refused here, and the provider is not asked."""
SPAN = 60.0
"""Seconds."""
_CUSTOMERS = 10_000


class FailingCards:
    """Remembers when tries were refused. Pure: time is an argument, in seconds that never go back."""

    def __init__(self, most: int = MOST, span: float = SPAN) -> None:
        self._most = most
        self._span = span
        self._refused: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, customer: str, now: float) -> None:
        """The provider has refused a try of this customer."""
        times = self._refused.setdefault(customer, deque(maxlen=self._most))
        times.append(now)
        self._refused.move_to_end(customer)
        if len(self._refused) > _CUSTOMERS:
            self._refused.popitem(last=False)

    def wait(self, customer: str, now: float) -> float:
        """Seconds until this customer may try again; 0 for whoever has not used the budget up."""
        times = self._refused.get(customer)
        if times is None or len(times) < self._most:
            return 0.0
        return max(0.0, times[0] + self._span - now)
