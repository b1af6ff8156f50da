"""Loads the demo catalogue."""

from collections.abc import Iterator

from marketplace.product.demo_catalogue import PRODUCTS
from marketplace.product.deps import Deps
from marketplace.product.domain import Product
from souk.kernel.clock import MICROSECONDS

_FIRST_NUMBER = 101


async def load_demo(deps: Deps) -> None:
    """Adds the demo products that are not there; leaves the others as somebody may have changed them."""
    products = list(demo_products(deps.clock.now()))
    known = {product.id for product in await deps.products.find([product.id for product in products])}
    for product in products:
        if product.id not in known:
            await deps.products.add(product)


def demo_products(now: int) -> Iterator[Product]:
    """P-101 and on; each a second younger than the one before, the last as old as `now`."""
    first = now - len(PRODUCTS) * MICROSECONDS
    for index, (category, name, price, description) in enumerate(PRODUCTS):
        time = first + index * MICROSECONDS
        yield Product(
            id=f"P-{_FIRST_NUMBER + index}",
            name=name,
            description=description,
            category=category,
            price=price,
            currency="EUR",
            image_url=None,
            created_at=time,
            updated_at=time,
        )
