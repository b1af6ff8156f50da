"""Turns the fields of a request of HTTP/2 into an ASGI scope; h2 has checked them as RFC 9113, 8.2 and 8.3 ask."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from souk.gateway.http.problem import Problem
from souk.http1.framing import fields_fault, is_host, target_fault
from souk.runtime.process.http.limits import MOST_FIELDS, MOST_HEAD
from souk.runtime.process.http.refusals import TOO_LARGE, unsound
from souk.telemetry.traces import child_of

Fields = Iterable[tuple[bytes, bytes]]


def scope_of(fields: Fields, common: dict[str, Any], *, whole: bool) -> "dict[str, Any] | Problem":
    """Returns the scope of a request, with what all requests of its connection have in `common`; or its refusal.

    `whole` says that the head is all of the request, so that a length must be 0: h2 compares only what data comes.
    """
    pseudo: dict[bytes, bytes] = {}
    headers: list[tuple[bytes, bytes]] = []
    cookies: list[bytes] = []
    size = 0
    for name, value in fields:
        size += len(name) + len(value) + 4
        if name[:1] == b":":
            pseudo[name] = value
        elif name == b"cookie":  # may come in pieces (RFC 9113, 8.2.3)
            cookies.append(value)
        else:
            headers.append((name, value))
    if size > MOST_HEAD or len(headers) > MOST_FIELDS:
        return TOO_LARGE
    if cookies:
        headers.append((b"cookie", b"; ".join(cookies)))
    if (found := fields_fault(headers)) is not None:
        return unsound(*found)
    if whole and any(name == b"content-length" and value.strip(b"0") for name, value in headers):
        return unsound(400, "the request has no body, but a length of one")
    wrong = _put_host(headers, pseudo.get(b":authority"))
    method, target = pseudo[b":method"], pseudo.get(b":path", b"")
    if wrong is None and (found := target_fault(method, target, headers)) is not None:
        wrong = unsound(*found)
    if wrong is not None:
        return wrong
    raw_path, _, query = target.partition(b"?")
    path = raw_path.decode("ascii")
    return {
        **common,
        "method": method.decode("latin-1"),
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": headers,
    }


def _put_host(headers: list[tuple[bytes, bytes]], authority: bytes | None) -> Problem | None:
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (hosts and authority is not None and hosts[0].lower() != authority.lower()):
        return unsound(400, "the request names more than one host")
    if not hosts:
        if authority is None:
            return unsound(400, "the request names no host")
        headers.insert(0, (b"host", authority))
    elif authority is None:
        authority = hosts[0]
    if not is_host(authority):
        return unsound(400, "the host of the request is not one")
    return None


def refusing(problem: Problem) -> Any:
    """Makes an application that answers with a problem."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        body = problem.document(child_of("").trace_id)
        headers = [*problem.all_headers(), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application
