"""Removing a product from the catalogue."""

from dataclasses import dataclass

from marketplace.product.deps import Deps
from marketplace.product.domain.products import is_product_id, unknown_product


@dataclass(frozen=True, slots=True)
class DeleteProduct:
    """Remove a product."""

    id: str


async def delete_product(deps: Deps, command: DeleteProduct) -> None:
    """Removes a product; raises PRODUCT_NOT_FOUND. Orders that contain it keep its id and price."""
    now = deps.clock.now()
    if not is_product_id(command.id) or not await deps.run(lambda tx: deps.products.remove(tx, command.id, now)):
        raise unknown_product(command.id)
