"""Taking a product out of the catalogue."""

from marketplace.product.domain import is_product_id, unknown_product
from marketplace.product.ports import Catalogue


async def delete_product(product_id: str, catalogue: Catalogue) -> None:
    """Raises PRODUCT_NOT_FOUND. Orders that hold the product keep their copy of name and price."""
    if not is_product_id(product_id) or not await catalogue.remove(product_id):
        raise unknown_product(product_id)
