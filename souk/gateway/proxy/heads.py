"""The heads of requests and answers on their way: what goes on, and what the gateway writes itself.

Fields of one connection stop here (RFC 9110, 7.6.1), and so do the metadata that only the platform may write. The body
is framed anew: a length or chunks, never both. `Forwarded` and `X-Forwarded-*` are the gateway's own; what the client
sent of them goes on only if the client is a trusted proxy.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from souk.gateway.http.answers import Headers
from souk.gateway.http.client_address import from_trusted_proxy
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.rpc.sidecar import CLIENT_HOST, TRIES

VIA = b"1.1 souk"
MOST_HOPS = 8
"""Gateways of ours that a request may have passed; one that has passed more goes round in a loop (RFC 9110, 7.6.3)."""
_PSEUDONYM = b"souk"
CHUNKED = -1
"""Stands for the length of a body that is sent in chunks."""

_OF_ONE_CONNECTION = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_FORWARDED = frozenset((b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"))
_WRITTEN_TO_UPSTREAM = frozenset(
    (b"content-length", b"expect", b"host", b"traceparent", b"tracestate", b"via", b"x-request-id")
)
_DROPPED = _OF_ONE_CONNECTION | _FORWARDED | _WRITTEN_TO_UPSTREAM
_WRITTEN_TO_CLIENT = frozenset((b"date", b"traceparent", b"x-content-type-options", b"x-request-id"))
_HEEDED_IN_ANSWERS = _OF_ONE_CONNECTION | _WRITTEN_TO_CLIENT | {b"content-length", b"via"}
"""Those that do not just go on as they are."""
_RESERVED = b"souk-"
_HEEDED_BY_SIDECARS = (_RESERVED, b"x-envoy-")
_CLIENT_HOST = CLIENT_HOST.encode()
BY_SENDER = (TRIES.encode(), b"sender")
"""Says to a sidecar that the gateway itself sends again what was lost, as the route has it."""
_LONGEST_HOST = 256
"""Octets of a host whose lines are remembered, so that a client cannot fill the memory."""
_FORWARDED_LINES = b"x-forwarded-for: %b\r\nx-forwarded-host: %b\r\nx-forwarded-proto: %b\r\nforwarded: %b\r\n"

Networks = Sequence[IPv4Network | IPv6Network]


class RequestHeads:
    """Writes the heads of requests. The networks are those of proxies whose word on clients is believed.

    With the name of a `service`, heads are for a sidecar: that finds the service by it as the host, and puts the
    client's there.
    """

    def __init__(self, trusted: Networks, service: bytes = b"") -> None:
        self._trusted, self._service = trusted, service
        self._reserved = _HEEDED_BY_SIDECARS if service else (_RESERVED,)

    def write(
        self,
        request: Request,
        target: bytes,
        headers: Headers,
        authority: bytes,
        length: int | None,
        extra: bytes = b"",
        traceparent: str = "",
    ) -> bytes:
        """Returns the octets of a head. `authority` is for a request without a host; `length` is that of the body,
        CHUNKED, or None without one; `extra` are lines that are written as they are, each with its end. `traceparent`
        names the try, if it is recorded.

        Raises Problem 508 for a request that goes round in a loop.
        """
        host, connection = authority, False
        passed: list[bytes] = []
        lines: list[bytes] = []
        forwarded: dict[bytes, bytes] = {}
        for name, value in headers:
            if name in _DROPPED:
                if name == b"host":
                    host = value
                elif name == b"connection":
                    connection = True
                elif name == b"via":
                    passed.append(value)
                elif name in _FORWARDED:
                    forwarded[name] = forwarded[name] + b", " + value if name in forwarded else value
            elif not name.startswith(self._reserved):
                lines.append(b"%b: %b\r\n" % (name, value))
        if connection and (named := named_by_connection(headers)):
            lines = [line for line in lines if line.partition(b":")[0] not in named]
        if length is not None:
            lines.append(b"transfer-encoding: chunked\r\n" if length == CHUNKED else b"content-length: %d\r\n" % length)
        lines.append(self._of_client(request, host, forwarded))
        return b"%b %b HTTP/1.1\r\nhost: %b\r\nvia: %b\r\nx-request-id: %b\r\n%b%b%b\r\n" % (
            request.method.encode(),
            target,
            self._service or host,
            _next_via(passed) if passed else VIA,
            request.request_id.encode(),
            _trace(request, traceparent),
            b"".join(lines),
            extra,
        )

    def fields(
        self,
        request: Request,
        target: bytes,
        headers: Headers,
        authority: bytes,
        scheme: bytes,
        length: int | None,
        traceparent: str = "",
    ) -> Headers:
        """Returns the fields of a head in HTTP/2 (RFC 9113, 8.3.1). The arguments are those of `write`.

        `te: trailers` says that trailers reach the client, which servers of gRPC ask for.
        """
        head = self.write(request, target, headers, authority, None, traceparent=traceparent).split(b"\r\n")
        lines = [line.partition(b": ") for line in head[1:-2]]
        fields = [(name, value) for name, _, value in lines if name != b"host"]
        host = next(value for name, _, value in lines if name == b"host")
        pseudo = [
            (b":method", request.method.encode()),
            (b":scheme", scheme),
            (b":authority", host),
            (b":path", target),
        ]
        if length is not None and length != CHUNKED:
            fields.append((b"content-length", b"%d" % length))
        return [*pseudo, *fields, (b"te", b"trailers")]

    def _of_client(self, request: Request, host: bytes, given: dict[bytes, bytes]) -> bytes:
        """Returns the lines about the client, and about the host that it asked for."""
        lines = self._forwarded(request, host, given)
        return lines + b"%b: %b\r\n" % (_CLIENT_HOST, host) if self._service else lines

    def _forwarded(self, request: Request, host: bytes, given: dict[bytes, bytes]) -> bytes:
        peer = request.scope.get("client")
        address = str(peer[0]) if peer else ""
        scheme = str(request.scope.get("scheme", "http"))
        asked = original_host(request) or host
        if not given or not from_trusted_proxy(request.scope, self._trusted):
            return (_known_hop if len(asked) <= _LONGEST_HOST else _first_hop)(address, asked, scheme)
        before, hops = given.get(b"x-forwarded-for"), given.get(b"forwarded")
        hop = _hop(address, asked, scheme)
        return _FORWARDED_LINES % (
            before + b", " + address.encode() if before else address.encode(),
            given.get(b"x-forwarded-host", asked),
            given.get(b"x-forwarded-proto", scheme.encode()),
            hops + b", " + hop if hops else hop,
        )


def _trace(request: Request, traceparent: str) -> bytes:
    """Returns the lines about the trace."""
    lines = f"traceparent: {traceparent or request.traceparent}\r\n"
    if state := request.tracestate:
        lines += f"tracestate: {state}\r\n"
    return lines.encode()


def _hop(address: str, host: bytes, scheme: str) -> bytes:
    shown = f'"[{address}]"' if ":" in address else address or "unknown"
    return b'for=%b;host="%b";proto=%b' % (shown.encode(), host, scheme.encode())


def _first_hop(address: str, host: bytes, scheme: str) -> bytes:
    """Returns the lines about a client that no proxy speaks for."""
    return _FORWARDED_LINES % (address.encode(), host, scheme.encode(), _hop(address, host, scheme))


_known_hop = lru_cache(maxsize=1024)(_first_hop)


def _next_via(passed: Sequence[bytes]) -> bytes:
    """Returns `Via` for the next server. Raises Problem 508 for a request that goes round in a loop."""
    via = b", ".join((*passed, VIA))
    if sum(hop.split()[1:2] == [_PSEUDONYM] for hop in via.split(b",")) > MOST_HOPS:
        raise Problem(508, "LOOP_DETECTED", "the request has passed too many gateways: their routes lead to each other")
    return via


def original_host(request: Request) -> bytes:
    """Returns the host that the client asked for, whatever a route has made of it; empty if there was none."""
    for name, value in request.scope["headers"]:
        if name == b"host":
            return bytes(value)
    return b""


def asks_for_websocket(request: Request, headers: Headers) -> bool:
    """Whether a request asks to go on as WebSocket (RFC 6455, 4.1). No other protocol goes through: what is said in it
    would pass every rule of the gateway, as with HTTP/2 in clear text."""
    if request.method != "GET" or request.has_body or request.scope.get("http_version") != "1.1":
        return False
    wanted = [value.lower() for name, value in headers if name == b"upgrade"]
    return wanted == [b"websocket"] and b"upgrade" in named_by_connection(headers)


def switched(headers: Headers) -> Headers:
    """Returns the headers of a 101 that go on to the client."""
    return [*answered(headers), (b"connection", b"Upgrade"), (b"upgrade", b"websocket")]


def named_by_connection(headers: Headers) -> Collection[bytes]:
    """Returns the names that `Connection` lists: fields of one connection, too."""
    listed = [value for name, value in headers if name == b"connection"]
    if not listed or listed == [b"keep-alive"] or listed == [b"close"]:
        return ()
    return {option.strip(b" \t").lower() for value in listed for option in value.split(b",")}


def answered(headers: Headers, *, whole: bool = False) -> Headers:
    """Returns the headers of an answer, whose names are in lower case, that go on to the client; of a whole one without
    its length, which is written anew."""
    named: Collection[bytes] = ()
    via, kept = VIA, []
    for pair in headers:
        name = pair[0]
        if name in _HEEDED_IN_ANSWERS:
            if name == b"via":
                via = pair[1] + b", " + via
            elif name == b"connection":
                named = named_by_connection(headers)
            elif name == b"content-length" and not whole:
                kept.append(pair)
        elif not name.startswith(_RESERVED):
            kept.append(pair)
    if named:
        kept = [pair for pair in kept if pair[0] not in named]
    kept.append((b"via", via))
    return kept
