"""Renders the OpenAPI document as one HTML page, which needs neither its script nor the internet."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from souk.gateway.docs.schema import Schema, fields, reference, row, text
from souk.gateway.docs.settings import DocsSettings
from souk.gateway.docs.trial import examples, login_section

_TIME = "x-timeout-seconds"
_COMMON = ("type", "title", "status", "detail", "code", "requestId")
_ASSETS = files("souk.gateway") / "assets"
STYLES = ("shared/scales.css", "docs.css")
READ, TRIED = ("docs.js",), ("docs.js", "trial.js")
"""The scripts of a page that is read, and of one from which requests are tried."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of a page: its name, and what is in it as HTML. A section with an `id` has it."""

    name: str
    html: str
    id: str = ""


def page_of(document: Mapping[str, Any], docs: DocsSettings) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
    """Returns the page and its headers, which allow its own style and script, and requests to its own origin."""
    links = '<a href="/openapi.json">openapi.json</a>. What services tell each other: <a href="/docs/events">events</a>'
    title = f"{document['info']['title']} API"
    groups = list(_groups(document, docs))
    return framed(title, document["info"]["description"], links, "Filter by path, name or code", groups, TRIED)


def framed(
    title: str, description: str, links: str, search: str, groups: Sequence[Group], scripts: Sequence[str] = READ
) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
    """Returns a page of groups, and its headers; `links` is HTML, the others are text.

    `scripts` are READ, or TRIED for a page that sends requests.
    """
    scales, own, *code = (_ASSETS.joinpath(name).read_text("utf-8") for name in (*STYLES, *scripts))
    style = scales + own
    script, may_send = "\n".join(code), "connect-src 'self'; " if scripts == TRIED else ""
    title = escape(title)
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><header><h1>{title}</h1>"
        f"<p>{text(description)}</p>"
        f"<p>The same for programs: {links}</p>"
        f'<label for="filter">{escape(search)}</label><input id="filter" type="search">'
        '<p id="matches" role="status"></p></header>'
        f'<div class="frame"><nav aria-label="Groups"><ul>{"".join(_links(groups))}</ul></nav>'
        f"<main>{''.join(_sections(groups))}</main></div><script>{script}</script></body></html>"
    )
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; {may_send}"
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.encode(), (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"referrer-policy", b"no-referrer"),
    )


def _links(groups: Iterable[Group]) -> Iterator[str]:
    for group in groups:
        yield f'<li><a href="#{_anchor(group)}">{escape(group.name)}</a></li>'


def _sections(groups: Iterable[Group]) -> Iterator[str]:
    for group in groups:
        own = f' id="{group.id}"' if group.id else ""
        yield f'<section{own}><h2 id="{_anchor(group)}">{escape(group.name)}</h2>{group.html}</section>'


def _anchor(group: Group) -> str:
    return f"group-{escape(group.name.lower().replace(' ', '-'))}"


def _hash(content: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _groups(document: Mapping[str, Any], docs: DocsSettings) -> Iterator[Group]:
    if login := "".join(login_section(document, docs)):
        yield Group("Log in", login, "try-caller")
    for tag in document["tags"]:
        operations = (
            "".join(_operation(verb, path, operation, document, docs))
            for path, verbs in document["paths"].items()
            for verb, operation in verbs.items()
            if tag["name"] in operation["tags"]
        )
        yield Group(tag["name"], f"<p>{text(tag.get('description', ''))}</p>{''.join(operations)}")
    yield Group("Schemas", schemas_of({
        name: one for name, one in document["components"]["schemas"].items() if _own_members(one)
    }))  # fmt: skip
    yield Group(
        "Codes",
        '<table class="codes"><tr><th>Code</th><td>Status</td><td>What it means</td>'
        f"<td>What to do</td></tr>{''.join(_codes(document))}</table>",
    )


def schemas_of(known: Mapping[str, Schema]) -> str:
    """Renders schemas, each to be opened."""
    return "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code>'
        f"<span>{text(schema.get('description', ''))}</span></summary>{fields(schema)}</details>"
        for name, schema in known.items()
    )


def _operation(
    verb: str, path: str, operation: Schema, document: Mapping[str, Any], docs: DocsSettings
) -> Iterator[str]:
    who = ", ".join(operation.get("x-roles", ["user"] if operation["security"] else ["anyone"]))
    limit = f" <small>Answered within {operation[_TIME]:g} s.</small>" if _TIME in operation else ""
    yield (
        f'<details class="operation" id="{escape(operation["operationId"])}"><summary>'
        f'<b class="{escape(verb)}">{escape(verb.upper())}</b><code>{escape(path)}</code>'
        f"<span>{text(operation['summary'])}</span><i>{escape(who)}</i></summary>"
        f"<p>{text(_more(operation))}{limit}</p>"
    )
    if operation["parameters"]:
        yield f'<h3>Parameters</h3><table class="fields">{"".join(map(_parameter, operation["parameters"]))}</table>'
    if body := operation.get("requestBody"):
        yield from _request_body(body["content"], document)
    yield "<h3>Answers</h3><table>"
    for status, response in _responses(operation, document).items():
        yield f"<tr><th>{escape(status)}</th><td>{_answer(response, document)}</td></tr>"
    yield "</table>"
    yield from examples(verb, path, operation, docs)
    yield "</details>"


def _more(operation: Schema) -> str:
    """Returns the description without its first sentence, which is the summary."""
    description: str = operation.get("description", "")
    return description.removeprefix(operation["summary"]).removeprefix(".").strip()


def _parameter(parameter: Schema) -> str:
    where = f"{parameter['in']}, {'required' if parameter['required'] else 'optional'}"
    return row(parameter["name"], parameter["schema"], where, parameter.get("description", ""))


def _request_body(contents: Schema, document: Mapping[str, Any]) -> Iterator[str]:
    (kind, content), *_ = contents.items()
    schema = content["schema"]
    if not schema:
        yield "<h3>Body: anything</h3>"
        return
    yield f"<h3>Body: {reference(schema) or escape(kind)}</h3>"
    known = document["components"]["schemas"]
    yield fields(known[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema)


def _responses(operation: Schema, document: Mapping[str, Any]) -> Mapping[str, Schema]:
    shared = document["components"]["responses"]
    return {
        status: shared[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
        for status, response in operation["responses"].items()
    }


def _answer(response: Schema, document: Mapping[str, Any]) -> str:
    if codes := _problem_codes(response):
        schemas = document["components"]["schemas"]
        return ", ".join(_code(code, name, schemas[name]) for code, name in codes.items())
    content = response.get("content", {}).get("application/json")
    shape = reference(content["schema"]) if content else ""
    return f"{escape(response['description'])} {shape}"


def _code(code: str, name: str, schema: Schema) -> str:
    link = f'<a href="#{escape(code)}"><code>{escape(code)}</code></a>'
    own = ", ".join(f'<a href="#{escape(name)}"><code>{escape(one)}</code></a>' for one in _own_members(schema))
    return f"{link} with {own}" if own else link


def _own_members(schema: Schema) -> list[str]:
    """Returns the members of a problem beyond those that all problems have."""
    return [name for name in schema.get("properties", {}) if name not in _COMMON]


def _problem_codes(response: Schema) -> Mapping[str, str]:
    """Returns the codes of a problem, each with the name of its schema; empty for another response."""
    content = response.get("content", {}).get("application/problem+json")
    if content is None:
        return {}
    schemas = content["schema"].get("oneOf", [content["schema"]])
    names = (schema["$ref"].rpartition("/")[2] for schema in schemas)
    return dict(zip(content["examples"], names, strict=True))


def _codes(document: Mapping[str, Any]) -> Iterator[str]:
    """Renders the target of each problem's `type`: what the code means, and what to do."""
    for code, found in document["x-codes"].items():
        yield (
            f'<tr id="{escape(code)}"><th><code>{escape(code)}</code></th><td>{found["status"]}</td>'
            f"<td>{text(found['meaning'])}</td><td>{text(found['remedy'])}</td></tr>"
        )
