"""The OpenAPI document as one page: rendered here, without a script it depends on and without the internet."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

_OF_NO_OPERATION = {"ROUTE_NOT_FOUND": "404", "METHOD_NOT_ALLOWED": "405", "NOT_READY": "503"}
_ASSETS = files("souk.gateway") / "assets"


def page_of(document: Mapping[str, Any]) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
    """The page and its headers: its own style and script may run and nothing else may be loaded."""
    style, script = (_ASSETS.joinpath(name).read_text("utf-8") for name in ("docs.css", "docs.js"))
    title = escape(document["info"]["title"])
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><header><h1>{title} API</h1>"
        f"<p>{escape(document['info']['description'])}</p>"
        '<p><a href="/openapi.json">openapi.json</a></p>'
        '<input id="filter" type="search" placeholder="Filter by path, name or code" aria-label="Filter">'
        f"</header><main>{''.join(_body(document))}</main><script>{script}</script></body></html>"
    )
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.encode(), (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"referrer-policy", b"no-referrer"),
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _body(document: Mapping[str, Any]) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"<section><h2>{escape(tag['name'])}</h2>"
        for path, operations in document["paths"].items():
            for verb, operation in operations.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(verb, path, operation, _responses(operation, document))
        yield "</section>"
    yield "<section><h2>Schemas</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>'
    yield f"</section><section><h2>Codes</h2><ul>{''.join(_codes(document))}</ul></section>"


def _responses(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    shared = document["components"]["responses"]
    return {
        status: shared[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
        for status, response in operation["responses"].items()
    }


def _operation(
    verb: str, path: str, operation: Mapping[str, Any], responses: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    who = ", ".join(operation.get("x-roles", ["user"] if operation["security"] else ["anyone"]))
    yield (
        f'<details class="operation" id="{escape(operation["operationId"])}"><summary>'
        f'<b class="{escape(verb)}">{escape(verb.upper())}</b> <code>{escape(path)}</code> '
        f"<span>{escape(operation['summary'])}</span> <i>{escape(who)}</i></summary>"
        f"<p>{escape(operation.get('description', ''))}</p>"
    )
    if operation["parameters"]:
        yield f"<h3>Parameters</h3><table>{''.join(map(_parameter, operation['parameters']))}</table>"
    if body := operation.get("requestBody"):
        yield f"<h3>Body</h3>{_reference(body['content'])}"
    yield "<h3>Answers</h3><table>"
    for status, response in responses.items():
        content = response.get("content", {})
        shape = _reference(content) if "application/json" in content else ""
        yield f"<tr><th>{escape(status)}</th><td>{escape(response['description'])}</td><td>{shape}</td></tr>"
    yield "</table></details>"


def _parameter(parameter: Mapping[str, Any]) -> str:
    needed = "required" if parameter["required"] else "optional"
    schema = parameter["schema"]
    kind = schema.get("format") or schema.get("type", "")
    return (
        f"<tr><th><code>{escape(parameter['name'])}</code></th><td>{escape(parameter['in'])}, {needed}, "
        f"{escape(kind)}</td><td>{escape(parameter.get('description', ''))}</td></tr>"
    )


def _reference(content: Mapping[str, Any]) -> str:
    schema = content["application/json"]["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    return f'<a href="#{escape(name)}"><code>{escape(name)}</code></a>' if name else _json(schema)


def _codes(document: Mapping[str, Any]) -> Iterator[str]:
    """A place for the `type` of each problem to lead to."""
    found = dict(_OF_NO_OPERATION)
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in _responses(operation, document).items():
                if "application/problem+json" in response.get("content", {}):
                    found.update(dict.fromkeys(response["description"].split(", "), status))
    for code, status in sorted(found.items()):
        yield f'<li id="{escape(code)}"><code>{escape(code)}</code> {escape(status)}</li>'


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2))}</pre>"
