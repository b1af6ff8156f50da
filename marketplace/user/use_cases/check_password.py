"""Checking a password so that nobody can guess one, nor learn whether an account exists."""

from dataclasses import dataclass

from marketplace.user.throttle import Attempt, Counted

from marketplace.user.domain import Credentials, Proof, bad_credentials, email_key, too_many_attempts, unknown_user
from marketplace.user.ports import Accounts, Attempts, Passwords
from souk.kernel.context import current

WRONG = "email or password is wrong"
WRONG_CURRENT = "the current password is wrong"


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """One check for every password that is typed, throttled by account, known or not, and by address."""

    attempts: Attempts
    passwords: Passwords
    counted: Counted

    async def require(
        self, email: str, credentials: Credentials | None, password: str, refusal: str = WRONG
    ) -> Credentials:
        """The credentials, proved; raises BAD_CREDENTIALS, with `refusal`, and TOO_MANY_ATTEMPTS.

        The limit is asked about again after the slow check: however many guesses run at once, no
        more than the limit are ever answered.
        """
        user_id = credentials.account.id if credentials else ""
        attempt = self.counted.password(user_id, email_key(email), current().caller.address)
        await self._require_free(attempt)
        fits = await self.passwords.verify(credentials.password_hash if credentials else None, password)
        if not fits or credentials is None:
            wait = await self.attempts.fail(attempt)
            raise bad_credentials(refusal) if wait is None else too_many_attempts(wait)
        await self._require_free(attempt)
        return credentials

    async def require_current(self, user_id: str, password: str, accounts: Accounts) -> Proof:
        """Proof that the caller knows the password in force; raises USER_NOT_FOUND besides.

        What it is for compares it with the account once more, in its own transaction.
        """
        known = await accounts.credentials_of(user_id)
        if known is None:
            raise unknown_user()
        proved = await self.require(known.account.email, known, password, WRONG_CURRENT)
        return Proof(user_id, proved.password_hash, current().caller.session)

    async def require_free_email(self) -> None:
        """Raises TOO_MANY_ATTEMPTS for an address that has asked for too many emails that are taken."""
        await self._require_free(self.counted.email(current().caller.address))

    async def email_was_taken(self) -> None:
        """Counts an email that was asked for and is taken; raises as `require_free_email`."""
        wait = await self.attempts.fail(self.counted.email(current().caller.address))
        if wait is not None:
            raise too_many_attempts(wait)

    async def _require_free(self, attempt: Attempt) -> None:
        wait = await self.attempts.wait(attempt)
        if wait is not None:
            raise too_many_attempts(wait)
