"""Adding a product to the catalogue."""

from dataclasses import dataclass

from marketplace.product.deps import Deps
from marketplace.product.domain.products import PRODUCT_EXISTS, Product
from souk.sdk import DomainError, new_id


@dataclass(frozen=True, slots=True)
class CreateProduct:
    """Add a product; without an `id`, a new one is made."""

    name: str
    description: str
    category: str
    price: int
    currency: str
    image_url: str | None = None
    id: str | None = None


async def create_product(deps: Deps, command: CreateProduct) -> Product:
    """Adds the product and returns it; raises PRODUCT_EXISTS when its id is taken."""
    now = deps.clock.now()
    product = Product(
        id=new_id("P", deps.clock) if command.id is None else command.id,
        name=command.name,
        description=command.description,
        category=command.category,
        price=command.price,
        currency=command.currency,
        image_url=command.image_url or None,
        created_at=now,
        updated_at=now,
    )
    if not await deps.run(lambda tx: deps.products.add(tx, product)):
        raise DomainError(PRODUCT_EXISTS, f"the product {product.id} already exists")
    return product
