"""What each side does with a case, in terms in which they can be compared."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from souk.descriptors.protojson.names import enum_names, map_entry
from souk.descriptors.protojson.well_known import has_own_form
from tests.engines.transcoding.cases import TranslationCase
from tests.engines.transcoding.upstream import Upstream

PATIENCE = 60.0
_LINES = ("application/x-ndjson", "application/jsonl")


@dataclass(frozen=True)
class TranslationOutcome:
    """The status, the messages that the service received, and the body of a success as protobuf's own JSON."""

    status: int
    received: tuple[Message, ...]
    body: Any

    @property
    def shown(self) -> str:
        """The outcome in a table: the status, and the message as it reached the service."""
        if not self.received:
            return str(self.status)
        seen = "; ".join(json_format.MessageToJson(one, indent=None) for one in self.received)
        return f"{self.status}, {seen}"


async def outcome(case: TranslationCase, port: int, upstream: Upstream) -> TranslationOutcome:
    """Sends a case to a gateway, and returns what came of it there and in the service behind it."""
    upstream.taken()
    async with asyncio.timeout(PATIENCE):
        status, kind, body = await _sent(case.request, port, bodiless=case.verb == "HEAD")
    return TranslationOutcome(status, tuple(upstream.taken()), _readable(status, kind, body))


async def _sent(request: bytes, port: int, *, bodiless: bool) -> tuple[int, str, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = b"" if bodiless else await _body(reader, headers)
        return int(first.split(" ")[1]), headers.get("content-type", ""), body
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while length := int(await reader.readline(), 16):
        body += await reader.readexactly(length)
        await reader.readline()
    return body


def _readable(status: int, kind: str, body: bytes) -> Any:
    if status >= 300 or not body:
        return None
    if kind.startswith(_LINES) or (kind.startswith("application/json") and body.endswith(b"\n")):
        return [json.loads(line) for line in body.splitlines()]  # Envoy calls lines JSON, too
    if kind.startswith("application/json"):
        return json.loads(body)
    return (kind, body)


def as_protobuf_writes(value: Any, message: Descriptor) -> Any:
    """Returns JSON of Souk with the names of enum values as protobuf has them, integers of 64 bits as text."""
    if not isinstance(value, dict) or has_own_form(message):
        return value
    fields = {field.json_name: field for field in message.fields}
    return {name: _field(item, fields[name]) if name in fields else item for name, item in value.items()}


def _field(value: Any, field: FieldDescriptor) -> Any:
    if entry := map_entry(field):
        return {name: _one(item, entry[1]) for name, item in value.items()}
    return (
        [_one(item, field) for item in value] if isinstance(value, list) and field.is_repeated else _one(value, field)
    )


def _one(value: Any, field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        wide = field.message_type.full_name in ("google.protobuf.Int64Value", "google.protobuf.UInt64Value")
        return str(value) if wide else as_protobuf_writes(value, field.message_type)
    if field.enum_type is not None and isinstance(value, str):
        numbers = {name: number for number, name in enum_names(field.enum_type).items()}
        return field.enum_type.values_by_number[numbers[value]].name
    return str(value) if field.cpp_type in _WIDE else value


_WIDE = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
