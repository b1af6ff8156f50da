"""Renders schemas of the OpenAPI document for people: a table for each message, a phrase for each type."""

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

Schema = Mapping[str, Any]

_CODE = re.compile(r"`([^`]+)`")
_WIDEST = 2**53 - 1


def text(description: str) -> str:
    """Renders a description as HTML. Of Markdown it knows only `code`."""
    return _CODE.sub(r"<code>\1</code>", escape(description))


def reference(schema: Schema) -> str:
    """Renders a link to the schema that `$ref` names; empty without `$ref`."""
    name = escape(schema.get("$ref", "").rpartition("/")[2])
    return f'<a href="#{name}"><code>{name}</code></a>' if name else ""


def type_of(schema: Schema) -> str:
    """Renders the type of a value with its limits."""
    if link := reference(schema):
        return link
    if "enum" in schema:
        return "one of " + ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {type_of(schema['items'])}"
    if "additionalProperties" in schema and "properties" not in schema:
        return f"map of {type_of(schema['additionalProperties'])}"
    return ", ".join((escape(kind), *_limits(schema)))


def _limits(schema: Schema) -> Iterator[str]:
    if schema.get("format") in ("date-time", "password", "uri-reference"):
        yield escape(schema["format"])
    # The width of an integer is in the document; repeated at each field it would hide what matters.
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and low >= 0:
        yield f"{low} or more" if high is None or high >= _WIDEST else f"{low} to {high}"
    if "maxLength" in schema:
        yield f"{schema.get('minLength', 0)} to {schema['maxLength']} characters"


def row(name: str, schema: Schema, where: str, description: str) -> str:
    """Renders one field or parameter as a row of a table."""
    return (
        f"<tr><th><code>{escape(name)}</code></th><td>{type_of(schema)}</td>"
        f"<td>{escape(where)}</td><td>{text(description)}</td></tr>"
    )


def fields(schema: Schema) -> str:
    """Renders the fields of a message as a table."""
    required = schema.get("required", ())
    rows = (
        row(name, field, "required" if name in required else "optional", field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    )
    return f'<table class="fields">{"".join(rows)}</table>'
