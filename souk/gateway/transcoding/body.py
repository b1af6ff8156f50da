"""The body of a request under one rule: JSON for all fields or for one, or raw octets for a google.api.HttpBody."""

from collections.abc import AsyncGenerator, Collection
from typing import Any, Protocol

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from souk.descriptors.http_rule import WHOLE, HttpRule
from souk.descriptors.protojson.reader import JsonReader
from souk.descriptors.protojson.well_known import HTTP_BODY
from souk.gateway.http.problem import invalid
from souk.gateway.http.request import Request
from souk.gateway.transcoding.fields import field_at
from souk.kernel.errors import InvalidArgument, Violation

LONGEST_PART = 1024 * 1024
"""The most octets of a file in one message: gRPC's servers take 4 MiB by default."""


class Body(Protocol):
    """How the body of a request becomes arguments for the constructor of the method's request."""

    async def arguments(self, request: Request) -> dict[str, Any]:
        """Reads the body. Raises Problem."""
        ...


class JsonBody:
    """A body of JSON: all fields that the path does not have, or the field `name`."""

    def __init__(self, reader: JsonReader, name: str = "") -> None:
        self._reader, self._name = reader, name

    async def arguments(self, request: Request) -> dict[str, Any]:
        return self.read(await request.json_body())

    def read(self, body: bytes) -> dict[str, Any]:
        """Returns what the body gives. Raises Problem 400, which names every field that is wrong."""
        if not body:
            if self._reader.needs_body:
                raise invalid([Violation("body", "must be given")])
            return {}
        try:
            read = self._reader.read(body)
        except InvalidArgument as error:
            raise invalid(error.violations) from None
        return {self._name: read} if self._name else read


class RawBody:
    """A body of any content type: the whole request is a google.api.HttpBody, or its field `name` is one."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    async def arguments(self, request: Request) -> dict[str, Any]:
        data, kind = await request.raw_body(), single_content_type(request)
        if self._name:
            return {self._name: HttpBody(content_type=kind, data=data)}
        return {"content_type": kind, "data": data}


class UploadBody:
    """A body of any content type that becomes a stream of messages, for a method that takes one.

    Each message has a part of it, in the field `name` or, if that is empty, as the message itself; the first one has
    the content type and all other fields, too.
    """

    def __init__(self, message: type[Message], name: str) -> None:
        self._message, self._name = message, name

    async def messages(self, first: Message, request: Request, limit: int) -> AsyncGenerator[Message, None]:
        """Gives the messages. Raises Problem 400, 413 or 415, and ClientGone."""
        message, sent = first, False
        self._body(message).content_type = single_content_type(request)
        request.check_encoding()
        async for part in request.stream(limit):
            for start in range(0, len(part), LONGEST_PART):
                self._body(message).data = part[start : start + LONGEST_PART]
                yield message
                message, sent = self._message(), True
        if not sent:
            yield message

    def _body(self, message: Any) -> Any:
        return getattr(message, self._name) if self._name else message


def single_content_type(request: Request) -> str:
    """Returns the content type of a request; empty if it has none. Raises Problem 400 for several."""
    kind = request.header(b"content-type")
    if "\0" in kind:
        raise invalid([Violation("Content-Type", "must be given once")])
    return kind


def body_of(message: Descriptor, rule: HttpRule, bound: Collection[str], key: str, *, partial: bool) -> Body | None:
    """Returns the body of a rule; None if it has none. `bound` are the paths of the fields that the path has.

    `key` is the field that a header can give. With `partial` the body need not be complete.
    Raises ValueError when the rule does not fit the message.
    """
    if not rule.body:
        return None
    if rule.body == WHOLE:
        if message.full_name == HTTP_BODY:
            return RawBody()
        return JsonBody(JsonReader(message, elsewhere=bound, waived=[key] if key else []))
    field = field_at(message, rule.body)
    if field.message_type is not None and field.message_type.full_name == HTTP_BODY and not field.is_repeated:
        return RawBody(field.name)
    prefix = f"{field.name}."
    inner = [path.removeprefix(prefix) for path in bound if path.startswith(prefix)]
    return JsonBody(JsonReader.of_field(field, inner, partial=partial), field.name)
