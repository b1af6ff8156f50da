"""`POST /oauth/token`: access tokens for clients, by the client credentials grant of OAuth 2.0 (RFC 6749, section 4.4).

A client is an API key: its identifier is the `client_id`, and the key itself the `client_secret`, in the header
`Authorization: Basic` or in the form. A refusal has the form of RFC 6749, section 5.2, which every OAuth client reads.
"""

import hashlib
from base64 import b64decode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus

from souk.descriptors.protojson.writer import dumps
from souk.gateway.http.answers import JSON, HttpAnswer
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.gateway.limits.limiter import MethodLimits
from souk.gateway.limits.policy import Client

TOKEN_PATH = "/oauth/token"
GRANT = "client_credentials"
MOST_FIELDS = 10
_NO_STORE = (b"cache-control", b"no-store")
_CHALLENGE = (b"www-authenticate", b'Basic realm="souk"')

Issue = Callable[[str, bytes, Sequence[str], str], Awaitable[tuple[str, int, Sequence[str]]]]
"""Returns a token, its lifetime in seconds and its scopes, for the identifier and SHA-256 of a key, the scopes that are
asked for, and the client's address. Raises Problem."""


@dataclass(eq=False)
class TokenRefused(Problem):
    """The refusal of a token; `code` is one of the errors of RFC 6749, section 5.2."""

    def document(self, request_id: str) -> bytes:
        return dumps({"error": self.code, "error_description": self.detail})

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        return [JSON, _NO_STORE, *self.headers]


class TokenEndpoint:
    """Answers requests for tokens; `limits` are those of the method that issues them."""

    def __init__(self, issue: Issue, limits: MethodLimits | None) -> None:
        self._issue, self._limits = issue, limits

    async def __call__(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        """Gives a token. Raises TokenRefused, and Problem 413, 415, 429 and 503."""
        if self._limits is not None and (waited := self._limits.admit(request, Client("", request.client))) is not None:
            await waited
        form = _form(request.header(b"content-type"), await request.raw_body())
        client, secret = _credentials(request.header(b"authorization"), form)
        if form.get("grant_type") != GRANT:
            named = "invalid_request" if not form.get("grant_type") else "unsupported_grant_type"
            raise TokenRefused(400, named, f"grant_type must be {GRANT}")
        if not secret.startswith(f"souk_{client}_"):
            raise _invalid_client(client)
        digest = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        try:
            issued = await self._issue(client, digest, form.get("scope", "").split(), request.client)
        except Problem as problem:
            if problem.status == 404:
                raise _invalid_client(client) from None
            if problem.status == 400:
                raise TokenRefused(400, "invalid_scope", problem.detail) from None
            raise
        token, seconds, scopes = issued
        body = {"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": " ".join(scopes)}
        return HttpAnswer(200, [JSON, _NO_STORE], dumps(body))


def _form(content_type: str, body: bytes) -> dict[str, str]:
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise TokenRefused(400, "invalid_request", "the body must be application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise TokenRefused(400, "invalid_request", "the form cannot be read") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise TokenRefused(400, "invalid_request", "a parameter occurs twice")
    return form


def _credentials(authorization: str, form: dict[str, str]) -> tuple[str, str]:
    """Returns identifier and key: of the header, or of the form, and not of both (RFC 6749, section 2.3)."""
    in_form = form.get("client_id", ""), form.get("client_secret", "")
    if not authorization:
        return in_form
    if in_form[1]:
        raise TokenRefused(
            400, "invalid_request", "send the client's secret in the header or in the form, and not in both"
        )
    scheme, _, value = authorization.partition(" ")
    try:
        text = b64decode(value.strip(), validate=True).decode("ascii") if scheme.lower() == "basic" else ""
    except ValueError:
        text = ""
    client, _, secret = text.partition(":")
    return unquote_plus(client), unquote_plus(secret)


def _invalid_client(client: str) -> TokenRefused:
    who = f"API key {client}" if client.isalnum() and len(client) <= 16 else ""
    detail = "the client is not known, or its secret is not valid"
    return TokenRefused(401, "invalid_client", detail, headers=(_CHALLENGE,), why="API key", who=who)
