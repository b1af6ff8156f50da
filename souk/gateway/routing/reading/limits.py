"""Reads changes of rate limits, in the terms of docs/limits.md.

    limits:
      reads: {count: 2400, window: 1m}
      reports: {count: 10, window: 1h, by: caller, classes: [sensitive]}
      writes: {off: true}

Whether a change fits what it changes is decided when the file is put into force, as another file may change limits too.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from souk.gateway.limits.policies_file import CLASSES
from souk.gateway.limits.policy import CountedBy, WhenAway
from souk.gateway.routing.model import LimitChange
from souk.gateway.routing.reading.nodes import NodeReader

FIELDS: Mapping[str, str] = {
    "count": "count",
    "window": "window",
    "burst": "burst",
    "by": "by",
    "classes": "classes",
    "whenAway": "when_away",
    "ipv6Prefix": "ipv6_prefix",
    "off": "off",
}
"""The fields of a limit, and their names in a file of policies."""
_MOST = {"count": 1_000_000_000, "burst": 1_000_000_000, "ipv6Prefix": 128}
_WORDS = {"by": {str(one): str(one) for one in CountedBy}, "whenAway": {str(one): str(one) for one in WhenAway}}
_CLASSES = {name: name for name in CLASSES}


def read_limits(reader: NodeReader, node: yaml.Node) -> Iterator[LimitChange]:
    """Reads the part `limits` of a file."""
    for name, value, at in reader.entries(node, "limits"):
        given = reader.fields(value, "a limit", tuple(FIELDS))
        values = {FIELDS[field]: _value(reader, field, each) for field, each in given.items()}
        yield LimitChange(name, values, at.start_mark.line + 1, at.start_mark.column + 1)


def _value(reader: NodeReader, field: str, node: yaml.Node) -> Any:
    if field in _MOST:
        return reader.whole(node, field, 1, _MOST[field])
    if field in _WORDS:
        return reader.one_of(node, field, _WORDS[field], "")
    if field == "off":
        return reader.flag(node, field)
    if field == "classes":
        return list(reader.all(node, field, lambda item: reader.one_of(item, "a class", _CLASSES, "")))
    return _seconds(reader, node)


def _seconds(reader: NodeReader, node: yaml.Node) -> float:
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    return float(text) if re.fullmatch(r"[0-9]{1,7}", text) else reader.duration(node, "window")
