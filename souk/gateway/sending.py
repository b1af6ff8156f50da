"""Sends answers to the client, by ASGI."""

from contextlib import aclosing

from souk.gateway.http.answers import BODILESS, Headers, HttpAnswer, StreamedAnswer, SwitchedAnswer, SwitchingClient
from souk.gateway.http.connection import RESPOND, WhileConnected
from souk.gateway.http.request import Receive, Request, Send
from souk.gateway.limits.headers import limit_headers

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_HSTS = (b"strict-transport-security", b"max-age=31536000")
"""Over TLS alone (RFC 6797, 7.2), and of this host alone: the gateway does not know what its subdomains are."""
_CLOSE = (b"connection", b"close")
_WITHOUT_LENGTH = frozenset({204, 304})


async def send_whole(request: Request, answer: HttpAnswer, send: Send) -> None:
    """Sends a whole answer, once the rest of the request's body is read, as far as it may be long."""
    whole = not request.has_body or await request.drain()
    headers = _headers(request, answer.headers, close=not whole)
    body = b"" if answer.status in BODILESS else answer.body
    if answer.status not in _WITHOUT_LENGTH:
        headers.append((b"content-length", b"%d" % len(body)))
    if request.method == "HEAD":
        body = b""
    respond = (request.scope.get("extensions") or {}).get(RESPOND)
    if respond is None or not respond(answer.status, headers, body):
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def send_stream(request: Request, answer: StreamedAnswer, send: Send) -> None:
    """Sends an answer part by part, each when the client has room for it.

    Raises ClientGone when the client leaves meanwhile, and whatever `answer.body` raises. The rest of the request's
    body is left to whoever makes the answer; what is not read when the answer begins ends the connection after it.
    """
    async with aclosing(answer.body) as body:
        with WhileConnected(request):
            bodiless = answer.status in BODILESS
            given = [pair for pair in answer.headers if pair[0] != b"content-length"] if bodiless else answer.headers
            headers = _headers(request, given, close=request.has_body)
            trailers = answer.trailers if request.takes_trailers else None
            start = {"type": "http.response.start", "status": answer.status, "headers": headers}
            await send(start if trailers is None else {**start, "trailers": True})
            if not bodiless and request.method != "HEAD":
                async for part in body:
                    if part:
                        await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            if trailers is not None:
                await send({"type": "http.response.trailers", "headers": trailers})


async def send_switch(request: Request, answer: SwitchedAnswer, client: SwitchingClient) -> None:
    """Sends a 101, and then octets both ways until either side ends."""
    lines = b"".join(b"%b: %b\r\n" % pair for pair in _headers(request, answer.headers, close=False))
    await answer.tunnel.run(client, b"HTTP/1.1 101 Switching Protocols\r\n" + lines + b"\r\n")


async def serve_lifespan(receive: Receive, send: Send) -> None:
    """Confirms start and stop, and does no more: the host of the gateway starts and stops what it needs."""
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _headers(request: Request, given: Headers, *, close: bool) -> Headers:
    headers = [
        *given,
        *(limit_headers(request.quotas) if request.quotas else ()),
        *request.cors,
        (b"x-request-id", request.request_id.encode()),
        (b"traceparent", request.traceparent.encode()),
        _NOSNIFF,
    ]
    if request.scope.get("scheme") == "https":
        headers.append(_HSTS)
    if close:
        headers.append(_CLOSE)
    return headers
