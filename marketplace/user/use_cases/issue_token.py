"""Issuing an access token to a user who has proved who they are."""

import secrets

from marketplace.user.deps import Deps
from marketplace.user.domain.account import Account, Token
from marketplace.user.domain.signing import signing_key
from marketplace.user.use_cases.signing_keys import list_signing_keys
from souk.sdk import MICROSECONDS

ISSUER = "souk"
AUDIENCE = "souk"


async def issue_token(deps: Deps, account: Account, refresh_token: str, session: str) -> Token:
    """Issues a token with the account's present roles; `session` is the id of its family of refresh tokens."""
    now = deps.clock.now()
    issued_at = now // MICROSECONDS
    claims: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": account.id,
        "sid": session,
        "roles": list(account.roles),
        "iat": issued_at,
        "exp": issued_at + deps.tokens.access_seconds,
        "jti": secrets.token_urlsafe(16),
    }
    key = signing_key(await list_signing_keys(deps), now)
    return Token(deps.signer.sign(claims, key), refresh_token, deps.tokens.access_seconds)
