"""Translates products into messages of the contract."""

from google.protobuf.timestamp_pb2 import Timestamp
from shop.product.v1 import product_pb2 as pb

from marketplace.product.domain.products import Facets, Product


def to_message(product: Product) -> pb.Product:
    """Makes the message of a product, for answers and events."""
    return pb.Product(
        id=product.id,
        name=product.name,
        description=product.description,
        category=product.category,
        price=product.price,
        currency=product.currency,
        image_url=product.image_url,
        created_at=timestamp(product.created_at),
        updated_at=timestamp(product.updated_at),
    )


def facets_message(facets: Facets) -> pb.SearchFacets:
    """Makes the message of a search's facets."""
    return pb.SearchFacets(
        categories=[pb.CategoryCount(category=name, count=count) for name, count in facets.categories.items()],
        price_ranges=[
            pb.PriceRangeCount(min_price=one.min_price, max_price=one.max_price, count=count)
            for one, count in facets.prices.items()
        ],
    )


def timestamp(microseconds: int) -> Timestamp:
    """Makes the message of a time, in microseconds since 1970."""
    timestamp = Timestamp()
    timestamp.FromMicroseconds(microseconds)
    return timestamp
