"""Reading products by their ids."""

from collections.abc import Sequence

from marketplace.product.domain import Product, is_product_id, unknown_product
from marketplace.product.ports import Catalogue


async def get_product(product_id: str, catalogue: Catalogue) -> Product:
    """One product; raises PRODUCT_NOT_FOUND."""
    found = await _known([product_id], catalogue)
    if not found:
        raise unknown_product(product_id)
    return found[0]


async def batch_get_products(product_ids: Sequence[str], catalogue: Catalogue) -> list[Product]:
    """The known ones among the ids, in no order."""
    return await _known(product_ids, catalogue)


async def _known(product_ids: Sequence[str], catalogue: Catalogue) -> list[Product]:
    return await catalogue.find([known for known in dict.fromkeys(product_ids) if is_product_id(known)])
