"""Ports: what Inventory needs from outside."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from marketplace.inventory.domain import Item


class ShortageHints(Protocol):
    """Remembers which products were short a moment ago. The hints may be wrong or missing, and never decide."""

    async def likely_short(self, items: Sequence[Item]) -> bool:
        """Tells whether one of the items was available in less than its quantity, as far as is known."""
        ...

    async def learned(self, short: Mapping[str, int]) -> None:
        """Remembers for a few seconds what is available of products that were short."""
        ...


class NoHints:
    """The hints of a system without Redis: none."""

    async def likely_short(self, items: Sequence[Item]) -> bool:
        """Returns False."""
        return False

    async def learned(self, short: Mapping[str, int]) -> None:
        """Does nothing."""
