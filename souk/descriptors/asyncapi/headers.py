"""The headers of every event: its CloudEvents attributes, in the names of CloudEvents 1.0.2."""

from typing import Any

Schema = dict[str, Any]

_ALWAYS = ("specversion", "id", "source", "type", "datacontenttype", "dataschema", "subject", "partitionkey", "time")
_TEXTS = {
    "id": "Unique to the event. A consumer that got it before has handled it already.",
    "subject": "The key, as the contract says.",
    "partitionkey": "The key once more: events of one key keep their order.",
    "traceparent": "The trace in which it was published (W3C Trace Context).",
    "tracestate": "What other systems have said of that trace (W3C Trace Context).",
}


def headers_of(type_name: str, source: str) -> Schema:
    """Returns the schema of the attributes of an event of this type, which the service `source` publishes."""
    texts = {name: {"type": "string", "description": text} for name, text in _TEXTS.items()}
    own: Schema = {
        "specversion": {"type": "string", "const": "1.0"},
        "source": {"type": "string", "const": source},
        "type": {"type": "string", "const": type_name},
        "datacontenttype": {"type": "string", "const": "application/protobuf"},
        "dataschema": {"type": "string", "const": type_name},
        "time": {"type": "string", "format": "date-time"},
    }
    return {"type": "object", "properties": {**own, **texts}, "required": list(_ALWAYS)}
