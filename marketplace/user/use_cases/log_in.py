"""Logging in with email and password."""

from dataclasses import dataclass

from marketplace.user.refresh import open_family

from marketplace.user.domain import bad_credentials
from marketplace.user.ports import Accounts, Sessions
from marketplace.user.use_cases.check_password import WRONG, PasswordCheck
from marketplace.user.use_cases.issue_token import Issuer, Token
from souk.kernel.context import current


@dataclass(frozen=True, slots=True)
class LogIn:
    """What was typed."""

    email: str
    password: str


@dataclass(frozen=True, slots=True)
class LogInHandler:
    """`refresh_lifetime` is in microseconds."""

    accounts: Accounts
    sessions: Sessions
    check: PasswordCheck
    issuer: Issuer
    refresh_lifetime: int

    async def __call__(self, command: LogIn) -> Token:
        """Tokens; raises BAD_CREDENTIALS and TOO_MANY_ATTEMPTS."""
        known = await self.accounts.credentials(command.email)
        proved = await self.check.require(command.email, known, command.password)
        family, token = open_family(proved.account.id, self.issuer.clock, self.refresh_lifetime)
        address = self.check.counted.address(current().caller.address)
        if not await self.sessions.open(family, proved.password_hash, address):
            raise bad_credentials(WRONG)
        return await self.issuer.issue(proved.account, token, family.id)
