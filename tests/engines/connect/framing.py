"""The framing of the conformance runner: four octets of length, the most significant first, before each message."""

import struct
from base64 import b64decode, b64encode
from typing import Any, BinaryIO

from connectrpc.conformance.v1 import service_pb2


def read(stream: BinaryIO, kind: Any) -> Any:
    """Reads the next message; None at the end."""
    length = stream.read(4)
    return kind.FromString(stream.read(struct.unpack(">I", length)[0])) if length else None


def write(stream: BinaryIO, message: Any) -> None:
    encoded = message.SerializeToString()
    stream.write(struct.pack(">I", len(encoded)) + encoded)
    stream.flush()


def pairs(headers: Any) -> list[tuple[str, str | bytes]]:
    """Converts the runner's headers to metadata."""
    found: list[tuple[str, str | bytes]] = []
    for header in headers:
        key = header.name.lower()
        found += [(key, b64decode(value + "==") if key.endswith("-bin") else value) for value in header.value]
    return found


def headers(metadata: Any) -> list[Any]:
    """Converts metadata to the runner's headers."""
    found: dict[str, Any] = {}
    for key, value in metadata or ():
        text = b64encode(value).decode().rstrip("=") if isinstance(value, bytes) else value
        found.setdefault(key, service_pb2.Header(name=key)).value.append(text)
    return list(found.values())
