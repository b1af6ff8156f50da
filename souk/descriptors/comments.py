"""The comments of contracts. Generated code does not contain them, so they ship beside it as package data."""

import sys
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import TypeAlias

import orjson

from souk.descriptors.contract import Contract

FILE = "comments.json"
"""The file in the top-level package of generated code: `shop/comments.json` for `shop.order.v1.OrderService`."""

Comments: TypeAlias = Mapping[str, str]
"""Comments by the full names of methods, messages and fields; may be empty."""


def comments_of(contracts: Iterable[Contract]) -> Comments:
    """Reads the comments that ship with the contracts' generated code; a foreign contract may have none."""
    found: dict[str, str] = {}
    for package in sorted({contract.full_name.partition(".")[0] for contract in contracts}):
        # A contract's code is already imported. Any other package of that name must not be imported by `files`.
        if package in sys.modules and (file := files(package) / FILE).is_file():
            found.update(orjson.loads(file.read_bytes()))
    return found
