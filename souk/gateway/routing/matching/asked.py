"""What a request asks for, as far as rules match it."""

import re
from collections.abc import Iterable
from functools import cached_property
from urllib.parse import parse_qsl

from souk.gateway.http.problem import Problem

_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")
_SLASHES = re.compile("//+")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DOTS = re.compile(r"(^|/)\.{1,2}(/|$)")

Headers = Iterable[tuple[bytes, bytes]]


class Asked:
    """A request: its headers and its query are looked at only when a rule needs them.

    `sent` is the path that goes on to an upstream, and `path` the one that rules match: of several slashes in a row
    only one counts, or `//admin` would pass by the rules for `/admin`, and mean it to many an upstream.
    """

    def __init__(self, method: str, path: str, query: bytes, headers: Headers) -> None:
        self.method = method
        self.sent = normalised(path)
        self.path = _SLASHES.sub("/", self.sent) if "//" in self.sent else self.sent
        self._query, self._headers = query, headers

    @cached_property
    def host(self) -> str:
        """The hostname in lower case, without a port; empty when there is none."""
        return host_of(self._named.get("host", ""))

    def header(self, name: str) -> str | None:
        """Gives a header by its name in lower case, repeated ones joined by commas (RFC 9110, 5.3)."""
        return self._named.get(name)

    def parameter(self, name: str) -> str | None:
        """Gives the first value of a query parameter."""
        return self._parameters.get(name)

    @cached_property
    def preflight(self) -> str:
        """The method that a CORS preflight announces; empty for any other request."""
        if self.method != "OPTIONS" or "origin" not in self._named:
            return ""
        return self._named.get("access-control-request-method", "")

    @cached_property
    def _named(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for raw, value in self._headers:
            name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
            found[name] = f"{found[name]}, {text}" if name in found else text
        return found

    @cached_property
    def _parameters(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in parse_qsl(self._query.decode("latin-1"), keep_blank_values=True):
            found.setdefault(name, value)
        return found


def host_of(authority: str) -> str:
    """Gives the hostname of a Host header, in lower case."""
    host = authority.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].removesuffix(".")


def normalised(path: str) -> str:
    """Gives a path whose letters, digits and `-._~` are not percent-encoded, as it means the same (RFC 3986, 6.2.2.2).

    Otherwise `/%61dmin` would pass by the rules for `/admin`, and mean it to the upstream. Encoded slashes stay
    encoded. Raises Problem 400 for dot segments, which an upstream might resolve after the rules were applied.
    """
    if "%" in path:
        path = _ESCAPE.sub(_decoded, path)
    if "/." in path and _DOTS.search(path):
        raise Problem(400, "INVALID_PATH", "the path must not contain dot segments (. or ..)")
    return path


def _decoded(escape: "re.Match[str]") -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0]
