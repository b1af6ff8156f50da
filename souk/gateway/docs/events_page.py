"""Renders the AsyncAPI document as one HTML page, in the look of the API's page."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from souk.gateway.docs.page import Group, framed, schemas_of
from souk.gateway.docs.schema import Schema, fields, reference, text


def events_page_of(document: Mapping[str, Any]) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
    """Returns the page and its headers, which allow its own style and script and nothing else."""
    links = '<a href="/asyncapi.json">asyncapi.json</a>. What clients call: <a href="/docs">the API</a>'
    info = document["info"]
    return framed(info["title"], info["description"], links, "Filter by name or service", list(_groups(document)))


def _groups(document: Mapping[str, Any]) -> Iterator[Group]:
    messages = document["components"]["messages"]
    for topic, channel in document["channels"].items():
        events = ("".join(_event(messages[name], _hearers(document, topic, name))) for name in channel["messages"])
        yield Group(channel["title"], f"<p>Topic {text(f'`{topic}`')}</p>{''.join(events)}")
    yield Group("Schemas", schemas_of(document["components"]["schemas"]))


def _event(message: Schema, hearers: Sequence[str]) -> Iterator[str]:
    may = "every service" if "*" in message["x-subscribers"] else ", ".join(message["x-subscribers"])
    rows = {
        "Data": reference(message["payload"]),
        "Key": f"<code>{escape(message['x-key'])}</code>",
        "Needs": escape(", ".join(need.replace("-", " ") for need in message["x-needs"])),
        "Of use for": f"{message['x-retention-seconds'] / 86_400:g} days",
        "May be heard by": escape(may),
        "Is heard by": escape(", ".join(hearers) or "nobody"),
    }
    yield (
        f'<details class="operation" id="{escape(message["name"])}"><summary><code>{escape(message["title"])}</code>'
        f"<span>{text(message.get('description', ''))}</span><i>{escape(may)}</i></summary><table>"
    )
    yield from (f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
    yield f"</table><h3>Headers</h3>{fields(message['headers'])}</details>"


def _hearers(document: Mapping[str, Any], topic: str, name: str) -> list[str]:
    wanted = {"$ref": f"#/channels/{topic}/messages/{name}"}
    return [
        f"{operation['x-service']} ({operation['x-consumer']})"
        for operation in document["operations"].values()
        if operation["action"] == "receive" and wanted in operation["messages"]
    ]
