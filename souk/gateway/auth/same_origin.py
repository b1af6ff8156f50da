"""Proof that a request with cookies comes from a page of this origin, against cross-site request forgery.

It is what a browser itself says and no page can change: `Sec-Fetch-Site` (Fetch Metadata), or `Origin` from a browser
that does not send it. A request that says neither is refused.
"""

from typing import Protocol
from urllib.parse import urlsplit

from souk.gateway.http.problem import Problem
from souk.kernel.addresses import ON_LOOPBACK

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1), and need no proof."""


class BrowserRequest(Protocol):
    """The method and the headers of a request; a header that was not sent is empty.

    `certificate` are the subject and the PEM of the client's certificate, empty without one.
    """

    @property
    def method(self) -> str: ...
    @property
    def certificate(self) -> tuple[str, str]: ...
    def header(self, name: bytes) -> str: ...


def require_same_origin(request: BrowserRequest) -> None:
    """Raises Problem 403 unless the request comes from a page of this origin; `same-site` is not enough."""
    site = request.header(b"sec-fetch-site")
    if site != "same-origin" if site else not _is_own(request.header(b"origin"), request.header(b"host")):
        detail = "a request with cookies must come from a page of this origin"
        raise Problem(403, "CROSS_SITE", detail, why="cross-site")


def _is_own(origin: str, host: str) -> bool:
    """The scheme is not compared: TLS may end at a proxy. Plain HTTP is good on loopback alone, as for the cookies."""
    try:
        parts = urlsplit(origin)
        named = parts.hostname
    except ValueError:
        return False
    secure = parts.scheme == "https" or (parts.scheme == "http" and named in ON_LOOPBACK)
    return secure and bool(host) and parts.netloc.lower() == host.lower() and origin.count("/") == 2
