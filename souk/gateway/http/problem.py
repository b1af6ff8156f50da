"""What the gateway answers when it does not answer what was asked for (RFC 9457).

Every way in which a request can fail is a Problem: raised anywhere in the pipeline, written in one
place. Nothing of a failure's own text leaves, unless its reason is one that the method's contract
lists.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from souk.descriptors.protojson.writer import dumps
from souk.kernel.errors import FORBIDDEN, INVALID_REQUEST, UNAUTHENTICATED, SoukError, Violation

CONTENT_TYPE = b"application/problem+json"
DEFAULT_RETRY_AFTER = 1.0
_RETRYABLE = frozenset({429, 503})
_RESERVED = frozenset({"type", "title", "status", "detail", "code", "requestId", "errors"})


@dataclass(eq=False)
class Problem(SoukError):
    """An answer that is an error. `retry_after` is in seconds; 429 and 503 always have one."""

    status: int
    code: str
    detail: str
    errors: Sequence[Violation] = ()
    members: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def document(self, request_id: str) -> bytes:
        """As application/problem+json."""
        document: dict[str, Any] = {
            "type": f"/docs#{self.code}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "requestId": request_id,
        }
        if self.errors:
            document["errors"] = [{"field": e.field, "detail": e.detail} for e in self.errors]
        document.update((name, value) for name, value in self.members.items() if name not in _RESERVED)
        return dumps(document)

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that say more than the document does."""
        headers = [(b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store"), *self.headers]
        if self.status in _RETRYABLE or self.retry_after is not None:
            seconds = DEFAULT_RETRY_AFTER if self.retry_after is None else self.retry_after
            headers.append((b"retry-after", str(max(1, math.ceil(seconds))).encode()))
        return headers


def not_found() -> Problem:
    """No route."""
    return Problem(404, "ROUTE_NOT_FOUND", "this path does not exist")


def method_not_allowed(allow: str) -> Problem:
    """A route, but not by this method."""
    return Problem(405, "METHOD_NOT_ALLOWED", f"this path takes {allow}", headers=((b"allow", allow.encode()),))


def invalid(errors: Sequence[Violation]) -> Problem:
    """A request that is wrong in itself; fields are named as in JSON."""
    return Problem(400, INVALID_REQUEST, "; ".join(f"{e.field}: {e.detail}" for e in errors)[:500], errors)


def unauthenticated(detail: str = "this call needs a valid bearer token", *, invalid_token: bool = False) -> Problem:
    """Nobody has said who is calling, or nobody believes it (RFC 6750, section 3)."""
    challenge = b'Bearer error="invalid_token"' if invalid_token else b"Bearer"
    return Problem(401, UNAUTHENTICATED, detail, headers=((b"www-authenticate", challenge),))


def forbidden() -> Problem:
    """The caller is known and may not."""
    return Problem(403, FORBIDDEN, "the caller may not do this")


def unavailable(service: str, retry_after: float | None = None) -> Problem:
    """A service is away; the code names it."""
    code = f"{service.upper().replace('-', '_')}_UNAVAILABLE"
    return Problem(503, code, f"the {service} service is not available now", retry_after=retry_after)


def internal() -> Problem:
    """Something is wrong on this side; the log says what."""
    return Problem(500, "INTERNAL", "something went wrong in the server")


def deadline_exceeded() -> Problem:
    """No answer in time; it is open whether it happened."""
    return Problem(504, "DEADLINE_EXCEEDED", "the request took too long; it may still have been carried out")
