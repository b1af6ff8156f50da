"""No gate: where there is no Redis."""

from collections.abc import Mapping, Sequence

from marketplace.inventory.domain import Item


class NoGate:
    """Implements `ports.Gate` where there is no Redis: nothing is known beforehand."""

    async def likely_short(self, items: Sequence[Item]) -> bool:
        """Never."""
        return False

    async def learned(self, short: Mapping[str, int]) -> None:
        """Forgets it."""
