"""Exchanging a refresh token for the next pair of tokens."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.account import Token, bad_credentials
from marketplace.user.domain.refresh import Decision, Verdict, decide, parse
from marketplace.user.use_cases.issue_token import issue_token
from souk.sdk import Transaction

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

    async def work(tx: Transaction) -> Decision | None:
        old = await deps.sessions.lock(tx, presented.family_id)
        if old is None:
            return None
        decision = decide(old, presented, now, deps.tokens.refresh_lifetime)
        if decision.family is None:
            await deps.sessions.remove(tx, old.id)
        elif decision.family != old:
            await deps.sessions.update(tx, decision.family)
        return decision

    # The refusal is raised outside: that a family ends has to be committed.
    decision = await deps.database.run(work)
    if decision is None or decision.verdict not in _GOOD or decision.family is None:
        raise bad_credentials(_REFUSAL)
    user_id = decision.family.user_id
    account = await deps.database.read(lambda tx: deps.accounts.find(tx, user_id), single=True)
    if account is None:
        raise bad_credentials(_REFUSAL)
    return await issue_token(deps, account, decision.token, decision.family.id)
