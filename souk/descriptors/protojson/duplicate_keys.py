"""Finds keys that a JSON text gives twice, which orjson silently takes the last of.

RFC 8259 leaves the meaning of duplicates open, so that two readers of one body can disagree: one
checks the first price, the other charges the second.
"""

import json
from typing import Any

from souk.descriptors.protojson.walk import Place, Walk


def refuse_duplicates(body: bytes, walk: Walk) -> None:
    """Records every key given twice. Call it after a clean walk over the same body.

    Every key has its colon, so as many colons as keys that were passed proves that there is no
    duplicate. Only a body with more, duplicates or colons within strings, is parsed again slowly.
    """
    if body.count(b":") != walk.keys:
        _search(json.loads(body.decode(), object_pairs_hook=_Pairs), walk, None, "")


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, in the order of the text."""


def _search(value: object, walk: Walk, parent: Place | None, label: str | int) -> None:
    here: Place = (parent, label, 0)
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for name, item in value:
            if name in seen:
                walk.refuse(here, name, "occurs more than once")
            seen.add(name)
            _search(item, walk, here, name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _search(item, walk, here, index)
