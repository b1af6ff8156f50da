"""Checking a password so that it cannot be guessed, and without revealing whether an account exists.

Every password that a client sends is checked here. Failures are limited by account, known or not, and by the
client's address.
"""

from marketplace.user.deps import Deps
from marketplace.user.domain.account import (
    Credentials,
    Proof,
    bad_credentials,
    email_key,
    too_many_attempts,
    unknown_user,
)
from marketplace.user.domain.throttle import Attempt
from souk.sdk import current

WRONG = "email or password is wrong"
WRONG_CURRENT = "the current password is wrong"


async def check_password(
    deps: Deps, email: str, credentials: Credentials | None, password: str, refusal: str = WRONG
) -> Credentials:
    """Checks a password and returns the credentials that it proves.

    Raises BAD_CREDENTIALS, with the text `refusal`, and TOO_MANY_ATTEMPTS. The limit is checked again after the
    slow hash: however many guesses run at once, no more than the limit are ever answered.
    """
    user_id = credentials.account.id if credentials else ""
    attempt = deps.counted.password(user_id, email_key(email), current().caller.address)
    await _require_free(deps, attempt)
    fits = await deps.passwords.verify(credentials.password_hash if credentials else None, password)
    if not fits or credentials is None:
        wait = await _fail(deps, attempt)
        raise bad_credentials(refusal) if wait is None else too_many_attempts(wait)
    await _require_free(deps, attempt)
    return credentials


async def check_current_password(deps: Deps, user_id: str, password: str) -> Proof:
    """Proves that the caller knows the account's current password.

    Raises as `check_password`, and USER_NOT_FOUND. The caller of this function passes the proof to the store,
    which compares it with the account once more in the transaction of the change.
    """
    known = await deps.database.read(lambda tx: deps.accounts.credentials_of(tx, user_id), single=True)
    if known is None:
        raise unknown_user()
    proved = await check_password(deps, known.account.email, known, password, WRONG_CURRENT)
    return Proof(user_id, proved.password_hash, current().caller.session)


async def require_free_email(deps: Deps) -> None:
    """Raises TOO_MANY_ATTEMPTS for a client address that has asked for too many taken emails."""
    await _require_free(deps, deps.counted.email(current().caller.address))


async def count_taken_email(deps: Deps) -> None:
    """Counts a request for an email that is taken; raises TOO_MANY_ATTEMPTS when the limit is reached."""
    wait = await _fail(deps, deps.counted.email(current().caller.address))
    if wait is not None:
        raise too_many_attempts(wait)


async def _fail(deps: Deps, attempt: Attempt) -> float | None:
    # The lock guards it. Serializable reads of so small a table would conflict with other accounts' failures.
    return await deps.database.run(lambda tx: deps.attempts.fail(tx, attempt), guarded=True)


async def _require_free(deps: Deps, attempt: Attempt) -> None:
    wait = await deps.database.read(lambda tx: deps.attempts.wait(tx, attempt))
    if wait is not None:
        raise too_many_attempts(wait)
