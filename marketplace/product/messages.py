"""Translates products into messages of the contract."""

from google.protobuf.timestamp_pb2 import Timestamp
from shop.product.v1 import product_pb2 as pb

from marketplace.product.domain import Product


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
        created_at=_timestamp(product.created_at),
        updated_at=_timestamp(product.updated_at),
    )


def _timestamp(microseconds: int) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromMicroseconds(microseconds)
    return timestamp
