"""CORS: what pages of other origins may do (the Fetch standard, section 3.2), as the Gateway API configures it."""

import re
from dataclasses import dataclass

from souk.gateway.http.answers import Headers, HttpAnswer
from souk.gateway.http.problem import Problem
from souk.gateway.routing.model import Cors

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\*\.)?[a-z0-9.-]+(:[0-9]{1,5})?|[a-z][a-z0-9+.-]*://\*(:[0-9]{1,5})?")
_VARY = (b"vary", b"origin")
_ANY = "*"
_OURS = b"access-control-"


@dataclass(frozen=True, slots=True)
class CorsFilter:
    """The filter of one rule."""

    cors: Cors

    def preflight(self, origin: str, method: str, headers: str) -> HttpAnswer:
        """Answers a preflight for `method` with `headers`. Raises Problem 403 for an origin that is not allowed."""
        cors, found = self.cors, self.headers(origin)
        if not self._allows(origin):
            raise Problem(403, "ORIGIN_NOT_ALLOWED", "this origin may not use the route", headers=(_VARY,))
        for name, allowed, asked in (("methods", cors.methods, method), ("headers", cors.headers, headers)):
            value = asked if _ANY in allowed and cors.credentials else ", ".join(allowed)
            if value:
                found.append((f"access-control-allow-{name}".encode(), value.encode("latin-1")))
        found.append((b"access-control-max-age", b"%d" % cors.max_age))
        return HttpAnswer(204, found)

    def headers(self, origin: str) -> Headers:
        """Gives the headers of an answer to `origin`, which is empty for a request of no page."""
        cors = self.cors
        if not origin or not self._allows(origin):
            return [_VARY]
        anyone = _ANY in cors.origins and not cors.credentials
        found = [
            (b"access-control-allow-origin", b"*" if anyone else origin.encode("latin-1")),
            *([] if anyone else [_VARY]),
        ]
        if cors.credentials:
            found.append((b"access-control-allow-credentials", b"true"))
        if cors.expose:
            found.append((b"access-control-expose-headers", ", ".join(cors.expose).encode()))
        return found

    def answered(self, headers: Headers, origin: str) -> Headers:
        """Gives the headers of an upstream's answer with ours in place of its own."""
        return [*(pair for pair in headers if not pair[0].startswith(_OURS)), *self.headers(origin)]

    def _allows(self, origin: str) -> bool:
        return any(_fits(allowed, origin.lower()) for allowed in self.cors.origins)


def is_origin(text: str) -> bool:
    """Whether a text in lower case is `*`, an origin, or a pattern of origins, as the Gateway API has them."""
    return text == _ANY or _ORIGIN.fullmatch(text) is not None


def _fits(allowed: str, origin: str) -> bool:
    """Whether an origin is allowed; `https://*.example.com` stands for every name that ends so."""
    if allowed in (_ANY, origin):
        return True
    start, star, end = allowed.partition(_ANY)
    if not star or not origin.startswith(start) or not origin.endswith(end):
        return False
    between = origin[len(start) : len(origin) - len(end)]
    return bool(between) and "/" not in between and (":" not in between or not end)
