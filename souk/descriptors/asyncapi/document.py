"""The AsyncAPI 3.0 document of the events that services publish, and of who hears them.

A channel is a topic. Each service sends on its own channel, and receives on those of the events that it subscribes to.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from souk.descriptors.asyncapi.headers import headers_of
from souk.descriptors.comments import comments_of
from souk.descriptors.contract import contract_of
from souk.descriptors.event_contract import EventContract, events_of, topic_of
from souk.descriptors.openapi.json_schema import Schema, Schemas

DESCRIPTION = (
    "Events are CloudEvents 1.0; their data is a Protocol Buffers message, `application/protobuf`. The schemas show "
    "the same messages as JSON. A reader ignores fields that it does not know. `x-needs` says what an event needs of "
    "whatever carries it, `x-retention-seconds` how long it is of use, and `x-subscribers` who may hear it."
)


@dataclass(frozen=True, slots=True)
class Speaker:
    """A service by name, with its contract, and the event types of each of its consumers, by the consumer's name."""

    name: str
    contract: ServiceDescriptor
    hears: Mapping[str, Collection[str]]


def asyncapi_of(speakers: Sequence[Speaker], title: str) -> dict[str, Any]:
    """Makes the document. A type that no speaker publishes is left out: its contract is not known here."""
    schemas = Schemas(comments_of(contract_of(speaker.contract) for speaker in speakers))
    sources = {name: (speaker, event) for speaker in speakers for name, event in events_of(speaker.contract).items()}
    messages = {name: _message(event, speaker.name, schemas) for name, (speaker, event) in sources.items()}
    channels: dict[str, Schema] = {}
    for name, (speaker, _) in sources.items():
        topic = topic_of(name)
        channel = channels.setdefault(topic, {"address": topic, "title": speaker.name, "messages": {}})
        channel["messages"][name] = {"$ref": f"#/components/messages/{name}"}
    operations: dict[str, Schema] = {}
    for speaker in speakers:
        operations.update(_sent(speaker))
        operations.update(_received(speaker, sources))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"{title} events",
            "version": "1",
            "description": DESCRIPTION,
            "contact": {"name": f"The operator of this {title}"},
            "license": {"name": "Apache License 2.0"},
        },
        "defaultContentType": "application/protobuf",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas.components},
    }


def _message(event: EventContract, source: str, schemas: Schemas) -> Schema:
    return {
        "name": event.name,
        "title": event.message.name,
        **schemas.comment(event.name),
        "contentType": "application/protobuf",
        "headers": headers_of(event.name, source),
        "payload": schemas.answer(event.message),
        "x-key": event.key,
        "x-needs": sorted(need.name.lower().replace("_", "-") for need in event.needs),
        "x-retention-seconds": event.retention,
        "x-subscribers": sorted(event.subscribers),
    }


def _sent(speaker: Speaker) -> dict[str, Schema]:
    names = list(events_of(speaker.contract))
    if not names:
        return {}
    return {f"{speaker.name}.send": _operation("send", topic_of(names[0]), names, f"{speaker.name} publishes")}


def _received(speaker: Speaker, sources: Collection[str]) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for consumer, types in speaker.hears.items():
        topics: dict[str, list[str]] = {}
        for name in types:
            if name in sources:
                topics.setdefault(topic_of(name), []).append(name)
        for topic, names in topics.items():
            operation = _operation("receive", topic, names, f"{speaker.name} hears, as {consumer}")
            operation |= {"x-service": speaker.name, "x-consumer": consumer}
            found[f"{speaker.name}.{consumer}.receive.{topic}"] = operation
    return found


def _operation(action: str, topic: str, names: Collection[str], summary: str) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{topic}/messages/{name}"} for name in names],
    }
