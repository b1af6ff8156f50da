"""The replies of a server's stream as one HTTP body: a line of JSON each (NDJSON), or an event each (SSE).

The request's `Accept` chooses: `application/x-ndjson` and `application/jsonl` are lines, `text/event-stream` is events
(the HTML standard, section 9.2). Lines are the default. A failure before the first reply is an answer of its own, with
its status. One after it is the last line, `{"problem": {...}}`, or the last event, `problem`, with the same document.
A stream of events that is complete ends with the event `end`, because browsers connect again to one that just ends.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator


class StreamFormat(ABC):
    """One way to write a stream of JSON documents."""

    end = b""
    """What follows the last document of a complete stream."""

    def __init__(self, media_type: str) -> None:
        self.media_type = media_type

    @abstractmethod
    def item(self, document: bytes) -> bytes:
        """Writes one reply."""

    @abstractmethod
    def problem(self, document: bytes) -> bytes:
        """Writes the failure that ends a stream."""


class Lines(StreamFormat):
    """A document a line."""

    def item(self, document: bytes) -> bytes:
        return document + b"\n"

    def problem(self, document: bytes) -> bytes:
        return b'{"problem":' + document + b"}\n"


class ServerSentEvents(StreamFormat):
    """A document an event. JSON as it is written here has no line break in it."""

    end = b"event: end\ndata: {}\n\n"

    def item(self, document: bytes) -> bytes:
        return b"data: " + document + b"\n\n"

    def problem(self, document: bytes) -> bytes:
        return b"event: problem\ndata: " + document + b"\n\n"


FORMATS = (Lines("application/x-ndjson"), Lines("application/jsonl"), ServerSentEvents("text/event-stream"))
"""The first one is the default."""


def format_for(accept: str) -> StreamFormat:
    """Returns the format that a header `Accept` prefers (RFC 9110, 12.5.1); the default if it prefers none of them."""
    weights = dict(_ranges(accept))
    best = max(FORMATS, key=lambda one: _weight(one.media_type, weights))  # of equals the first
    return best if _weight(best.media_type, weights) > 0 else FORMATS[0]


def _weight(media_type: str, weights: dict[str, float]) -> float:
    kind = media_type.partition("/")[0]
    return next((weights[name] for name in (media_type, f"{kind}/*", "*/*") if name in weights), 0.0)


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for given in accept.lower().split(","):
        name, *parameters = (part.strip() for part in given.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        yield name, _number(weight)


def _number(text: str) -> float:
    plain = text.replace(".", "", 1)
    return min(float(text), 1.0) if plain.isascii() and plain.isdigit() else 0.0
