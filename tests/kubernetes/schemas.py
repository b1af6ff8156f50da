"""JSON Schemas for kubeconform, made from what a running API server says of itself in OpenAPI v2.

Fields that the server does not know are refused, as it does itself with strict validation; but without a server.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
INT_OR_STRING = {"oneOf": [{"type": "string"}, {"type": "integer"}]}
TEMPLATE = "{{ .ResourceKind }}{{ .KindSuffix }}.json"
"""How kubeconform finds the file of a kind in a folder."""


def write_schemas(document: Mapping[str, Any], wanted: Collection[str], folder: Path) -> set[str]:
    """Writes those of the wanted files whose kinds the document describes; returns their names."""
    definitions = document["definitions"]
    found = {
        file_name(kind): resolved(schema, definitions, ())
        for schema in definitions.values()
        for kind in schema.get("x-kubernetes-group-version-kind", ())
        if file_name(kind) in wanted and {"apiVersion", "metadata"} <= schema.get("properties", {}).keys()
    }
    for name, schema in found.items():
        (folder / name).write_text(json.dumps(schema))
    return set(found)


def file_name(kind: Mapping[str, str]) -> str:
    """Gives the name of a kind's file, as TEMPLATE has it: the kind, the first word of its group, its version."""
    group = f"-{kind['group'].split('.')[0]}" if kind["group"] else ""
    return f"{kind['kind']}{group}-{kind['version']}.json".lower()


def resolved(schema: Any, definitions: Mapping[str, Any], within: tuple[str, ...]) -> Any:
    """Puts definitions in the place of references, and closes objects against other fields than they name.

    `within` are the definitions around it: one inside itself may be anything.
    """
    if isinstance(schema, list):
        return [resolved(one, definitions, within) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(reference := schema.get("$ref"), str):
        name = reference.rpartition("/")[2]
        return {} if name in within else resolved(definitions[name], definitions, (*within, name))
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return INT_OR_STRING
    made = {name: resolved(value, definitions, within) for name, value in schema.items()}
    if made.get("type") == "object" and "properties" in made:
        made.setdefault("additionalProperties", False)
    return made
