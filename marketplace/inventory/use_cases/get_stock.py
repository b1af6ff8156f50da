"""Read how many of a product can be bought now."""

from dataclasses import dataclass

from marketplace.inventory.ports import Stockroom
from souk.kernel.errors import DomainError
from souk.store.database import Database


@dataclass(frozen=True, slots=True)
class GetStock:
    """Read the stock of a product."""

    product_id: str


async def get_stock(query: GetStock, database: Database, stockroom: Stockroom) -> int:
    """Pieces available; raises STOCK_NOT_FOUND for a product that never had any."""
    available = await database.read(lambda tx: stockroom.available(tx, query.product_id))
    if available is None:
        raise DomainError("STOCK_NOT_FOUND", "this product has never been in stock")
    return available
