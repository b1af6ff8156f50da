"""The filters and orders of lists and searches in SQL."""

from marketplace.product.domain.products import Listing
from souk.sdk import Value

SORT_COLUMNS = {"name": "sort_name", "price": "price", "createdAt": "created_at"}
"""The column of each order, without the minus."""


def conditions_of(wanted: Listing, values: list[Value], *, of: str = "all") -> list[str]:
    """Makes the conditions of the filters, `of` "category", of "price" or of all; appends their values to `values`."""
    found = []
    for kind, condition, value in (
        ("category", "category = $%d", wanted.category),
        ("price", "price >= $%d", wanted.min_price),
        ("price", "price <= $%d", wanted.max_price),
    ):
        if value is not None and of in ("all", kind):
            values.append(value)
            found.append(condition % len(values))
    return found
