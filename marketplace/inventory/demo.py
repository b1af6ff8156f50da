"""Demo stock of the products P-101 to P-164. Idempotency keys make it harmless to load it again."""

import asyncio

from marketplace.inventory.deps import Deps
from marketplace.inventory.use_cases.adjust_stock import AdjustStock, adjust_stock

CALLER = "demo"
_PRODUCTS = range(101, 165)
_FIRST_STOCK = 100


def _pieces(number: int) -> int:
    """Returns a plausible number that is always the same: 20 to 250 pieces, and 100 of P-101."""
    return _FIRST_STOCK if number == _PRODUCTS.start else 20 + number * 37 % 231


async def load_demo(deps: Deps) -> None:
    """Adds the demo stock, all products concurrently."""
    await asyncio.gather(*(adjust_stock(deps, _received(number)) for number in _PRODUCTS))


def _received(number: int) -> AdjustStock:
    product = f"P-{number}"
    return AdjustStock(CALLER, f"demo-stock-{product}", product, _pieces(number), "demo data")
