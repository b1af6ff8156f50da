"""Exchanging a refresh token for the next pair of tokens."""

from dataclasses import dataclass

from marketplace.user.refresh import Verdict, decide, parse

from marketplace.user.domain import bad_credentials
from marketplace.user.ports import Accounts, Sessions
from marketplace.user.use_cases.issue_token import Issuer, Token

_GOOD = (Verdict.ROTATED, Verdict.REPEATED)
_REFUSAL = "the refresh token is not valid"


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The token that the client holds."""

    refresh_token: str


@dataclass(frozen=True, slots=True)
class RefreshTokenHandler:
    """`refresh_lifetime` is in microseconds, from each rotation."""

    accounts: Accounts
    sessions: Sessions
    issuer: Issuer
    refresh_lifetime: int

    async def __call__(self, command: RefreshToken) -> Token:
        """Tokens; raises BAD_CREDENTIALS. A token that was used before ends its family."""
        presented = parse(command.refresh_token)
        if presented is None:
            raise bad_credentials(_REFUSAL)
        now = self.issuer.clock.now()
        decision = await self.sessions.present(
            presented.family_id, lambda family: decide(family, presented, now, self.refresh_lifetime)
        )
        if decision is None or decision.verdict not in _GOOD or decision.family is None:
            raise bad_credentials(_REFUSAL)
        account = await self.accounts.find(decision.family.user_id)
        if account is None:
            raise bad_credentials(_REFUSAL)
        return await self.issuer.issue(account, decision.token, decision.family.id)
