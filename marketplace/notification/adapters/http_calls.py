"""The spans of requests to providers. Neither path nor query are recorded: they may say to whom a message goes."""

from contextlib import AbstractContextManager
from urllib.parse import urlsplit

from souk.sdk import HttpResponse, Span, SpanKind, Tracer, recorded

_ERROR, _SERVER_ERROR = 400, 500
_PORTS = {"http": 80, "https": 443}


def traced_post(tracer: Tracer | None, origin: str) -> AbstractContextManager[Span | None]:
    """Gives the block of a POST to a server."""
    url = urlsplit(origin)
    host, port = url.hostname or "", url.port or _PORTS.get(url.scheme, 0)
    return recorded(
        tracer,
        "POST",
        SpanKind.CLIENT,
        {"http.request.method": "POST", "server.address": host, "server.port": port},
    )


def note_answer(span: Span | None, answer: HttpResponse) -> None:
    """Notes the status of the answer; one from 400 on is an error of its client, and from 500 on one that tells."""
    if span is None:
        return
    span.attributes["http.response.status_code"] = answer.status
    if answer.status >= _ERROR:
        span.end(str(answer.status), expected=answer.status < _SERVER_ERROR)
