"""What contracts say in comments. Generated code drops them, so they ship beside it as package data."""

import sys
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import TypeAlias

import orjson

from souk.descriptors.contract import Contract

FILE = "comments.json"
"""In the top-level package of generated code: `shop/comments.json` for `shop.order.v1.OrderService`."""

Comments: TypeAlias = Mapping[str, str]
"""By the full names of methods, messages and fields; may be empty."""


def comments_of(contracts: Iterable[Contract]) -> Comments:
    """The comments that came with the contracts' generated code; a foreign contract may have none."""
    found: dict[str, str] = {}
    for package in sorted({contract.full_name.partition(".")[0] for contract in contracts}):
        # A contract's code is imported already; another module of that name must not be.
        if package in sys.modules and (file := files(package) / FILE).is_file():
            found.update(orjson.loads(file.read_bytes()))
    return found
