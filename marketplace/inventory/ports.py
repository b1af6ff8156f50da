"""What Inventory needs from outside, in its own words."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from marketplace.inventory.domain import Item


class ShortageHints(Protocol):
    """Knows, perhaps, which products were short a moment ago. It may be wrong, and it never decides."""

    async def likely_short(self, items: Sequence[Item]) -> bool:
        """Whether there was less than wanted of one of them."""
        ...

    async def learned(self, short: Mapping[str, int]) -> None:
        """Remembers for a few seconds what was available of products that were refused."""
        ...


class NoHints:
    """The hints where nothing is known beforehand, because there is no Redis."""

    async def likely_short(self, items: Sequence[Item]) -> bool:
        """Never."""
        return False

    async def learned(self, short: Mapping[str, int]) -> None:
        """Forgets it."""
