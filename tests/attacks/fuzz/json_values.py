"""JSON by the schemas of the OpenAPI document: mostly what they ask for, and now and then something terrible."""

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

RAW: Sequence[str] = (
    "NaN",
    "Infinity",
    "-0",
    "1e999",
    "9" * 5_000,
    "0." + "1" * 5_000,
    "1E+400",
    "01",
    "+1",
    "0x1",
    "9007199254740993",
    "-9223372036854775809",
    "18446744073709551616",
    '"\\ud800"',
    '"\\u0000"',
    '"\\uDC00\\uD800"',
    "[" * 2_000,
    "{" * 2_000,
    "[" * 500 + "]" * 500,
    '{"a":' * 400 + "1" + "}" * 400,
    '{"a":1,"a":2}',
    '{"id":"x","id":"y"}',
    "",
    "nul",
    "'a'",
    "[1,]",
    '{"a":1,}',
    "// x",
    "\ufeff{}",
    '"' + "x" * 20_000 + '"',
    "[" + "1," * 20_000 + "1]",
    '{"@type":"x"}',
    '"\\x"',
    "\u2028",
)
VALUES: Sequence[Any] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53,
    2**63,
    -(2**63),
    1.5,
    1e308,
    -0.0,
    "",
    "\x00",
    " ",
    "0",
    "-1",
    "null",
    "x" * 300,
    "\U0001f6d2",
    "e\u0301",
    "\u202e",
    "../..",
    "%00",
    "' OR 1=1 --",
    [],
    {},
    [[]],
    {"": ""},
    ["x"] * 50,
    {"a": {"b": [None]}},
    "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "EUR",
    "tok_visa",
    "P-101",
    "-----",
)
_PLACE = "\x00raw\x00"


class JsonGenerator:
    """Makes values. `schemas` are the document's, by name."""

    def __init__(self, schemas: Mapping[str, Any], random: Random) -> None:
        self._schemas, self._random = schemas, random

    def text(self, schema: Mapping[str, Any]) -> str:
        """Gives a text that is mostly JSON."""
        raw: list[str] = []
        text = json.dumps(self.value(schema, raw))
        for one in raw:
            text = text.replace(json.dumps(_PLACE), one, 1)
        return text

    def value(self, schema: Mapping[str, Any], raw: list[str] | None = None, depth: int = 0) -> Any:
        """Gives a value; with a list for `raw`, some of it stands for texts that no value has."""
        random = self._random
        if random.random() < 0.06:
            return random.choice(VALUES)
        if raw is not None and random.random() < 0.02:
            raw.append(random.choice(RAW))
            return _PLACE
        if "$ref" in schema:
            schema = self._schemas[str(schema["$ref"]).rpartition("/")[2]]
        for choice in ("oneOf", "anyOf", "allOf"):
            if choice in schema:
                return self.value(random.choice(schema[choice]), raw, depth)
        return self._of_type(schema, raw, depth)

    def _of_type(self, schema: Mapping[str, Any], raw: list[str] | None, depth: int) -> Any:
        random, kind = self._random, schema.get("type")
        kind = random.choice(kind) if isinstance(kind, list) else kind
        if "enum" in schema:
            return random.choice(schema["enum"])
        if kind == "object" or "properties" in schema:
            required = schema.get("required", ())
            return {
                name: self.value(inner, raw, depth + 1)
                for name, inner in schema.get("properties", {}).items()
                if random.random() < (0.97 if name in required else 0.5)
            }
        if kind == "array":
            return [self.value(schema.get("items", {}), raw, depth + 1) for _ in range(random.choice((0, 1, 1, 2, 5)))]
        if kind in ("integer", "number"):
            return random.choice(
                (schema.get("minimum", 0), schema.get("maximum", 10), 1, 2, 100, random.getrandbits(40))
            )
        if kind == "boolean":
            return random.random() < 0.5
        return random.choice((schema.get("example", "x"), "P-101", "tok_visa", "x", random.randbytes(4).hex()))
