"""Logging in with email and password."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.account import Token, bad_credentials
from marketplace.user.domain.refresh import open_family
from marketplace.user.use_cases.check_password import WRONG, check_password
from marketplace.user.use_cases.issue_token import issue_token
from souk.sdk import current


@dataclass(frozen=True, slots=True)
class LogIn:
    """Log in with an email and a password."""

    email: str
    password: str


async def log_in(deps: Deps, command: LogIn) -> Token:
    """Opens a login and returns its tokens; raises BAD_CREDENTIALS and TOO_MANY_ATTEMPTS."""
    known = await deps.database.read(lambda tx: deps.accounts.credentials(tx, command.email), single=True)
    proved = await check_password(deps, command.email, known, command.password)
    family, token = open_family(proved.account.id, deps.clock, deps.tokens.refresh_lifetime)
    address = deps.counted.address(current().caller.address)
    if not await deps.database.run(lambda tx: deps.sessions.open(tx, family, proved.password_hash, address)):
        raise bad_credentials(WRONG)
    return await issue_token(deps, proved.account, token, family.id)
