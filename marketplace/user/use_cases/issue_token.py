"""Writing an access token for somebody who has proved who they are."""

import secrets
from dataclasses import dataclass

from marketplace.user.signing import signing_key

from marketplace.user.domain import Account
from marketplace.user.ports import KeyRing, Signer
from souk.kernel.clock import MICROSECONDS, Clock

ISSUER = "souk"
AUDIENCE = "souk"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, its life in seconds, and the refresh token for the next one."""

    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class Issuer:
    """Issues access tokens that live `lifetime` seconds."""

    ring: KeyRing
    signer: Signer
    clock: Clock
    lifetime: int

    async def issue(self, account: Account, refresh_token: str, session: str) -> Token:
        """A token with the roles that the account has now; `session` is the family that it belongs to."""
        now = self.clock.now()
        issued_at = now // MICROSECONDS
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": account.id,
            "sid": session,
            "roles": list(account.roles),
            "iat": issued_at,
            "exp": issued_at + self.lifetime,
            "jti": secrets.token_urlsafe(16),
        }
        key = signing_key(await self.ring.keys(), now)
        return Token(self.signer.sign(claims, key), refresh_token, self.lifetime)
