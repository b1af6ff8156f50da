"""Changing a product."""

from dataclasses import dataclass

from marketplace.product.deps import Deps
from marketplace.product.domain.products import Changes, Product, changed, is_product_id, unknown_product
from souk.sdk import Transaction


@dataclass(frozen=True, slots=True)
class UpdateProduct:
    """Change a product."""

    id: str
    changes: Changes


async def update_product(deps: Deps, command: UpdateProduct) -> Product:
    """Changes a product and returns it as it is now; raises PRODUCT_NOT_FOUND. No difference, no event."""
    if not is_product_id(command.id):
        raise unknown_product(command.id)
    now = deps.clock.now()

    async def work(tx: Transaction) -> Product:
        old = await deps.products.lock(tx, command.id)
        if old is None:
            raise unknown_product(command.id)
        new = changed(old, command.changes, now)
        if new != old:
            await deps.products.update(tx, new)
        return new

    return await deps.run(work)
