"""CORS for what the gateway itself answers: the routes of contracts, RPC paths, sessions and documents.

Rules of the routes file have a filter of their own (docs/routes.md). Cookies are for pages of this origin alone, so
credentials are never allowed; a page of another origin sends a bearer token.
"""

from souk.gateway.http.answers import HttpAnswer
from souk.gateway.http.request import Request
from souk.gateway.routing.filters.cors import CorsFilter
from souk.gateway.routing.model import Cors

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_HEADERS = ("*", "authorization")
"""The `*` stands for all but Authorization, which has to be named (Fetch, 4.9)."""
_EXPOSED = ("grpc-status", "grpc-message", "grpc-status-details-bin", "*")
"""The `*` stands for all; the others are named for clients of gRPC-Web in browsers that do not know it."""
_MAX_AGE = 7_200
"""Seconds that a browser may keep the answer to a preflight: the most that Chromium takes."""


class CrossOrigin:
    """Lets pages of `origins` read answers; `*` is every origin, `https://*.example.com` all names that end so."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._filter = CorsFilter(Cors(origins, _METHODS, _HEADERS, _EXPOSED, max_age=_MAX_AGE))

    def preflight(self, request: Request) -> HttpAnswer | None:
        """Answers a preflight; for any other request, gives its answer the headers that its origin needs.

        Raises Problem 403 for a preflight of an origin that is not allowed.
        """
        origin = request.header(b"origin")
        if request.method == "OPTIONS" and origin:
            headers = dict(request.scope["headers"])
            method = headers.get(b"access-control-request-method", b"").decode("latin-1")
            if method:
                wanted = headers.get(b"access-control-request-headers", b"").decode("latin-1")
                return self._filter.preflight(origin, method, wanted)
        request.cors = self._filter.headers(origin)
        return None
