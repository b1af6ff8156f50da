"""Where a row stands in a sorted list."""

from marketplace.product.ports import Placed


def sort_key(placed: Placed) -> tuple[str | int, str]:
    """What the token of the next page begins behind."""
    return placed.place.key, placed.place.product_id
