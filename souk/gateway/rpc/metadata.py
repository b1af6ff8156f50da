"""Which headers of a client become metadata of the call, and how metadata of the answer becomes headers."""

from base64 import b64encode
from collections.abc import Iterable

from souk.gateway.http.problem import invalid
from souk.kernel.errors import Violation
from souk.rpc.call import Pairs
from souk.rpc.connect.headers import key_of, pair_of
from souk.rpc.metadata import IDEMPOTENCY_KEY, RESERVED_PREFIX, TRACEPARENT, InvalidMetadata

Raw = Iterable[tuple[bytes, bytes]]

_KEPT_BACK = frozenset(
    (
        *("accept", "accept-charset", "accept-encoding", "accept-language", "authorization", "cache-control"),
        *("connection", "content-encoding", "content-length", "content-type", "cookie", "date", "dnt", "expect"),
        *("forwarded", "host", "keep-alive", "origin", "pragma", "priority", "proxy-authorization"),
        *("proxy-connection", "referer", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via"),
        *("x-api-key", "x-real-ip", "x-request-id", "x-user-agent", "x-grpc-web", "tracestate"),
        *(TRACEPARENT, IDEMPOTENCY_KEY),
    )
)
"""Headers about the way from client to gateway, or that prove who the client is: a service gets neither."""
_KEPT_BACK_FAMILIES = ("connect-", "grpc-", "sec-", "x-forwarded-", RESERVED_PREFIX)


def passed_on(headers: Raw) -> Pairs:
    """Returns the headers of a request that go on to the service as metadata. Raises Problem 400."""
    pairs: list[tuple[str, str | bytes]] = []
    for name, value in headers:
        key = key_of(name)
        if not key or key in _KEPT_BACK or key.startswith(_KEPT_BACK_FAMILIES):
            continue
        try:
            parts = value.split(b",") if key.endswith("-bin") else (value,)
            pairs.extend(pair_of(key, part) for part in parts)
        except InvalidMetadata as error:
            raise invalid([Violation(key, str(error))]) from None
    return tuple(pairs)


def header_fields(pairs: Pairs, prefix: bytes = b"") -> list[tuple[bytes, bytes]]:
    """Returns metadata as fields of HTTP; octets in base64 without padding."""
    return [(prefix + key.encode(), _text(value)) for key, value in pairs]


def _text(value: str | bytes) -> bytes:
    return b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode("latin-1", "replace")
