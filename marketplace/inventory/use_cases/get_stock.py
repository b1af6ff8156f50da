"""Read how many pieces of a product are available."""

from dataclasses import dataclass

from marketplace.inventory.deps import Deps
from souk.sdk import DomainError


@dataclass(frozen=True, slots=True)
class GetStock:
    """Read the stock of a product."""

    product_id: str


async def get_stock(deps: Deps, query: GetStock) -> int:
    """Returns the available pieces; raises STOCK_NOT_FOUND for a product that never had stock."""
    available = await deps.database.read(lambda tx: deps.stock.available(tx, query.product_id))
    if available is None:
        raise DomainError("STOCK_NOT_FOUND", "this product has never been in stock")
    return available
