"""Says to an application who calls: the gateway's token becomes plain headers, which nobody else can write."""

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote

from souk.hosting.adopted.application import Application, Receive, Send
from souk.hosting.adopted.spans import AdoptedSpan
from souk.kernel.context import NOBODY, CallContext, Caller, use
from souk.kernel.errors import CallerTokenRefused
from souk.rpc.caller_token import CALLER_KEY, OVER_HTTP, CallerTokens
from souk.telemetry.logs import logger
from souk.telemetry.tracing.tracer import Tracer

USER, ROLES, SCOPES = b"x-souk-user-id", b"x-souk-roles", b"x-souk-scopes"
_OURS = (b"x-souk-", b"souk-")
_TOKEN = CALLER_KEY.encode()
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_REFUSED = b"the gateway in front of this application cannot be verified\n"

_log = logger("adopted")


class CallerHeaders:
    """An ASGI application in front of another one.

    A request with the gateway's token gets the headers USER, ROLES and SCOPES (both separated by commas), as far as
    there is something to say, the client's address and scheme, and `prefix` as its root path. One without a token came
    by another way, and is from nobody. One whose token is not the gateway's is answered with 503, a WebSocket with 403.
    `tracer` records requests.
    """

    def __init__(
        self,
        application: Application,
        tokens: CallerTokens,
        prefix: str,
        state: dict[str, Any],
        tracer: Tracer | None = None,
    ) -> None:
        self._application, self._tokens, self._state, self._tracer = application, tokens, state, tracer
        self._prefix = prefix.rstrip("/")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Passes a request on, as ASGI 3 specifies."""
        given = dict(scope["headers"])
        try:
            caller = self._tokens.verify(given[_TOKEN].decode("latin-1"), OVER_HTTP) if _TOKEN in given else NOBODY
        except CallerTokenRefused as refused:
            _log.error("a request is refused", reason=str(refused), path=scope["path"][:200])
            await (_refuse_socket if scope["type"] == "websocket" else _refuse)(send)
            return
        scope = self._shown(scope, given, caller)
        if self._tracer is None:
            await self._handle(scope, receive, send, caller, given.get(b"traceparent", b"").decode("latin-1"))
            return
        with AdoptedSpan(self._tracer, scope, by_gateway=bool(caller.service)) as traced:
            scope["headers"] = traced.shown()
            await self._handle(scope, receive, traced.watched(send), caller, traced.span.traceparent)

    async def _handle(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, caller: Caller, traceparent: str
    ) -> None:
        with use(CallContext(caller=caller, traceparent=traceparent)):
            await self._application(scope, receive, send)

    def _shown(self, scope: MutableMapping[str, Any], given: dict[bytes, bytes], caller: Caller) -> dict[str, Any]:
        # Frameworks read an underscore of a name as a dash.
        kept = [pair for pair in scope["headers"] if not pair[0].lower().replace(b"_", b"-").startswith(_OURS)]
        shown = {**scope, "headers": [*kept, *headers_of(caller)], "state": dict(self._state)}
        if self._prefix and _is_below(scope["path"], self._prefix):
            shown["root_path"] = self._prefix
        if caller.service:
            shown["client"] = (caller.address, 0) if caller.address else None
            scheme = given.get(b"x-forwarded-proto", b"http").decode("latin-1")
            shown["scheme"] = scheme.replace("http", "ws", 1) if scope["type"] == "websocket" else scheme
        return shown


def headers_of(caller: Caller) -> list[tuple[bytes, bytes]]:
    """Gives the headers that say who calls; what is not known has none. Other than ASCII is percent-encoded."""
    facts = {USER: (caller.subject,), ROLES: sorted(caller.roles), SCOPES: sorted(caller.scopes)}
    texts = {name: ",".join(quote(one, safe=_PRINTABLE) for one in values) for name, values in facts.items()}
    return [(name, text.encode()) for name, text in texts.items() if text]


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")


async def _refuse_socket(send: Send) -> None:
    await send({"type": "websocket.close", "code": 1011})


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(_REFUSED))]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSED})
