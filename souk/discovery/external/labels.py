"""Translates an instance's version, zone, weight and metadata to one map of text, as registries store it, and back.

Other clients of these registries use the names `version`, `zone` and `weight` as well. Registries allow fewer
characters in names than Souk does: a character that is not allowed becomes `_` and its hexadecimal code.
"""

import re
from collections.abc import Mapping

from souk.discovery.registry import HEAVIEST, Instance
from souk.kernel.whole_numbers import whole_number

CLAIM = "souk-claim"
"""The key that names the registration that wrote a map; it also shows that Souk wrote the map."""
_OWN = frozenset({"version", "zone", "weight", CLAIM})
_ESCAPED = re.compile(r"_([0-9A-F]{2})")
_TO_ESCAPE = re.compile(r"[^A-Za-z0-9_-]|_(?=[0-9A-F]{2})")


def labels(instance: Instance, claim: str) -> dict[str, str]:
    """Returns the map for an instance."""
    own = {"version": instance.version, "zone": instance.zone, "weight": str(instance.weight), CLAIM: claim}
    return {**{_escaped(name): text for name, text in instance.metadata.items()}, **own}


def labelled(service: str, name: str, address: str, found: Mapping[str, str], weight: int = 1) -> Instance:
    """Returns the instance whose id is `name`, for a map. A map that Souk did not write is read as far as it has the
    same names."""
    ours = CLAIM in found
    metadata = {_plain(name) if ours else name: str(text) for name, text in found.items() if name not in _OWN}
    given = whole_number(found.get("weight", ""), 2**31)
    return Instance(
        service=service,
        id=name,
        address=address,
        version=found.get("version", ""),
        zone=found.get("zone", ""),
        weight=max(1, min(HEAVIEST, weight if given is None else given)),
        metadata=metadata,
    )


def _escaped(name: str) -> str:
    if name in _OWN or name.startswith("consul-"):
        return f"_{ord(name[0]):02X}{_escaped_rest(name[1:])}"
    return _escaped_rest(name)


def _escaped_rest(name: str) -> str:
    return _TO_ESCAPE.sub(lambda found: f"_{ord(found[0]):02X}", name)


def _plain(name: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)
