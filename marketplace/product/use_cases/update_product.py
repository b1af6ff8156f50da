"""Changing a product."""

from dataclasses import dataclass

from marketplace.product.deps import Deps
from marketplace.product.domain import Changes, Product, changed, is_product_id, unknown_product


@dataclass(frozen=True, slots=True)
class UpdateProduct:
    """Change a product."""

    id: str
    changes: Changes


async def update_product(deps: Deps, command: UpdateProduct) -> Product:
    """Changes a product and returns it as it is now; raises PRODUCT_NOT_FOUND."""
    if not is_product_id(command.id):
        raise unknown_product(command.id)
    now = deps.clock.now()
    product = await deps.products.change(command.id, lambda old: changed(old, command.changes, now))
    if product is None:
        raise unknown_product(command.id)
    return product
