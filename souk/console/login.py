"""The login and the logout of the console: forms around the API's own sessions, so that they work without a script."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from souk.console.operators import Operators
from souk.gateway.auth.same_origin import require_same_origin
from souk.gateway.http.answers import HttpAnswer
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.gateway.settings import CONSOLE_PATH

LOGIN, LOGOUT = "login", "logout"
MOST_FORM = 256 * 1024
MOST_FIELDS = 20_000
_FORM = "application/x-www-form-urlencoded"
_NO_STORE = (b"cache-control", b"no-store")


async def form_of(request: Request) -> Mapping[str, Sequence[str]]:
    """Reads a form. Raises Problem 400, 413 or 415."""
    kind = request.header(b"content-type").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", f"a form must be sent as {_FORM}")
    body = await request.octets(MOST_FORM)
    try:
        return parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except (ValueError, UnicodeError):
        raise Problem(400, "INVALID_REQUEST", "the form cannot be read") from None


def next_path(asked: str) -> str:
    """Returns where a login leads: the page of the console that was asked for, and never another site."""
    inside = asked == CONSOLE_PATH or asked.startswith((f"{CONSOLE_PATH}/", f"{CONSOLE_PATH}?"))
    return asked if inside and asked.isascii() and asked.isprintable() and "\\" not in asked else CONSOLE_PATH


def redirect(path: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> HttpAnswer:
    """Leads a browser to another page, which it gets."""
    return HttpAnswer(303, [(b"location", path.encode()), _NO_STORE, *headers])


async def log_in(request: Request, operators: Operators) -> HttpAnswer:
    """Logs in with the form of the login page. Raises Problem."""
    if operators.sessions is None:
        raise Problem(404, "ROUTE_NOT_FOUND", "this system has no login by password")
    require_same_origin(request)
    form = await form_of(request)
    email, password = (form.get(name, [""])[0] for name in ("email", "password"))
    cookies = await operators.sessions.log_in(request, email.strip(), password)
    return redirect(next_path(form.get("next", [""])[0]), cookies)


async def log_out(request: Request, operators: Operators) -> HttpAnswer:
    """Logs out. Raises Problem."""
    if operators.sessions is None:
        return redirect(f"{CONSOLE_PATH}/{LOGIN}")
    ended = await operators.sessions.close(request, ())
    return redirect(f"{CONSOLE_PATH}/{LOGIN}", [pair for pair in ended.headers if pair[0] == b"set-cookie"])
