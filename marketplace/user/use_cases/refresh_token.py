"""Exchanging a refresh token for the next pair of tokens."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.account import Token, bad_credentials
from marketplace.user.domain.refresh import Verdict, decide, parse
from marketplace.user.use_cases.issue_token import issue_token

_GOOD = (Verdict.ROTATED, Verdict.REPEATED)
_REFUSAL = "the refresh token is not valid"


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """Exchange a refresh token."""

    refresh_token: str


async def refresh_token(deps: Deps, command: RefreshToken) -> Token:
    """Returns the next pair of tokens; raises BAD_CREDENTIALS.

    A token that was used before ends its family, unless it comes within the grace of `domain.refresh`.
    """
    presented = parse(command.refresh_token)
    if presented is None:
        raise bad_credentials(_REFUSAL)
    now = deps.clock.now()
    decision = await deps.sessions.present(
        presented.family_id, lambda family: decide(family, presented, now, deps.tokens.refresh_lifetime)
    )
    if decision is None or decision.verdict not in _GOOD or decision.family is None:
        raise bad_credentials(_REFUSAL)
    account = await deps.accounts.find(decision.family.user_id)
    if account is None:
        raise bad_credentials(_REFUSAL)
    return await issue_token(deps, account, decision.token, decision.family.id)
