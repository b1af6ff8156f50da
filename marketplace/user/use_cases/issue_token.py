"""Issuing access tokens: to a user who has proved who they are, and to a client with an API key."""

import secrets
from collections.abc import Mapping, Sequence

from marketplace.user.deps import Deps
from marketplace.user.domain.account import Account, Token
from marketplace.user.domain.api_key import ApiKey
from marketplace.user.domain.signing import signing_key
from marketplace.user.use_cases.signing_keys import list_signing_keys
from souk.sdk import MICROSECONDS

ISSUER = "souk"
AUDIENCE = "souk"
CLIENT_SECONDS = 300
"""Lifetime of a client's token: no longer, as it outlives the key that it was given for."""


async def issue_token(deps: Deps, account: Account, refresh_token: str, session: str) -> Token:
    """Issues a token with the account's present roles; `session` is the id of its family of refresh tokens."""
    claims = {"sub": account.id, "sid": session, "roles": list(account.roles)}
    return Token(await _signed(deps, claims, deps.tokens.access_seconds), refresh_token, deps.tokens.access_seconds)


async def issue_client_token(deps: Deps, key: ApiKey, scopes: Sequence[str]) -> str:
    """Issues a token for the holder of an API key, who may call what the scopes name (RFC 9068)."""
    claims = {"sub": key.user_id, "client_id": key.id, "scope": " ".join(scopes)}
    return await _signed(deps, claims, CLIENT_SECONDS)


async def _signed(deps: Deps, claims: Mapping[str, object], seconds: int) -> str:
    now = deps.clock.now()
    issued_at = now // MICROSECONDS
    standard = {"iss": ISSUER, "aud": AUDIENCE, "iat": issued_at, "exp": issued_at + seconds}
    key = signing_key(await list_signing_keys(deps), now)
    return deps.signer.sign({**standard, **claims, "jti": secrets.token_urlsafe(16)}, key)
