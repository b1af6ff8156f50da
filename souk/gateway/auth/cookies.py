"""Cookies of browsers that are logged in (RFC 6265bis): an access token and a refresh token that no script can read.

The prefix `__Host-` has the browser refuse them from another host, such as a subdomain that was taken over, and over
plain HTTP. What occurs twice is not believed: somebody else may have put one of them there (cookie tossing).
"""

from souk.gateway.http.answers import Headers

ACCESS, REFRESH = "__Host-souk-access", "__Host-souk-refresh"
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"


def cookie(header: str, name: str) -> str:
    """Returns the value of a cookie in a Cookie header; empty if it is not there, or not exactly once.

    HTTP/2 may send the header in parts, which a request holds with NUL between them.
    """
    if name not in header:
        return ""
    pairs = (part.strip(" ").partition("=") for part in header.replace("\0", ";").split(";"))
    found = [value for known, _, value in pairs if known == name]
    return found[0] if len(found) == 1 else ""


def opened(access_token: str, refresh_token: str, seconds: int) -> Headers:
    """Returns the headers that set both cookies: that of the access token for its lifetime, the other until the browser
    is closed."""
    return [
        (b"set-cookie", f"{ACCESS}={access_token}; Max-Age={seconds}; {_ATTRIBUTES}".encode()),
        (b"set-cookie", f"{REFRESH}={refresh_token}; {_ATTRIBUTES}".encode()),
    ]


def cleared() -> Headers:
    """Returns the headers that delete both cookies."""
    return [(b"set-cookie", f"{name}=; Max-Age=0; {_ATTRIBUTES}".encode()) for name in (ACCESS, REFRESH)]


def without_cookies(value: bytes) -> bytes:
    """Returns the value of a Cookie header without these two."""
    ours = (f"{ACCESS}=".encode(), f"{REFRESH}=".encode())
    return b"; ".join(part for part in map(bytes.strip, value.split(b";")) if not part.startswith(ours))
