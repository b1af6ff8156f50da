"""Checking a password so that nobody can guess one, nor learn whether an account exists."""

from dataclasses import dataclass

from marketplace.user.domain import Credentials, attempts_key, bad_credentials, too_many_attempts
from marketplace.user.ports import Attempts, Passwords

WRONG = "email or password is wrong"


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """One check for every password that is typed, throttled per email, known or not."""

    attempts: Attempts
    passwords: Passwords

    async def require(
        self, email: str, credentials: Credentials | None, password: str, refusal: str = WRONG
    ) -> Credentials:
        """The credentials, proved; raises BAD_CREDENTIALS, with `refusal`, and TOO_MANY_ATTEMPTS.

        The limit is asked about again after the slow check: however many guesses run at once, no
        more than the limit are ever answered.
        """
        key = attempts_key(email)
        await self._require_free(key)
        fits = await self.passwords.verify(credentials.password_hash if credentials else None, password)
        if not fits or credentials is None:
            wait = await self.attempts.fail(key)
            raise bad_credentials(refusal) if wait is None else too_many_attempts(wait)
        await self._require_free(key)
        return credentials

    async def _require_free(self, key: str) -> None:
        wait = await self.attempts.wait(key)
        if wait is not None:
            raise too_many_attempts(wait)
