"""RequestRedirect: the Location that a redirect gives."""

from souk.gateway.http.answers import HttpAnswer
from souk.gateway.routing.model import Redirect

_PORTS = {"http": 80, "https": 443}


def redirected(redirect: Redirect, scheme: str, authority: str, path: str, query: bytes, matched: str) -> HttpAnswer:
    """Answers a request for `path` at `authority`, as its Host header gives it; `matched` is the prefix that matched.

    Without a port of its own the redirect keeps the port that the client used, but if it has a scheme, the port is the
    usual one of that scheme.
    """
    host, port = _split(authority)
    host = redirect.hostname or host
    if redirect.port or redirect.scheme:
        port = redirect.port
    to = redirect.scheme or scheme
    if port == _PORTS.get(to):
        port = 0
    new = path if redirect.path is None else redirect.path.of(path, matched)
    # Without a host, a path that begins with two slashes would be read as one.
    where = f"{to}://{host}{f':{port}' if port else ''}{new}" if host else "/" + new.lstrip("/")
    location = where.encode("latin-1") + (b"?" + query if query else b"")
    return HttpAnswer(redirect.status, [(b"location", location)])


def _split(authority: str) -> tuple[str, int]:
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or (host.startswith("[") and not host.endswith("]")):
        return authority, 0
    return host, int(port[:5])
