"""Accounts: what one is, and what may be said about it. No I/O."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from souk.kernel.errors import DomainError, InvalidArgument, Violation

EMAIL_TAKEN = "EMAIL_TAKEN"
BAD_CREDENTIALS = "BAD_CREDENTIALS"
TOO_MANY_ATTEMPTS = "TOO_MANY_ATTEMPTS"
USER_NOT_FOUND = "USER_NOT_FOUND"

CUSTOMER = "customer"
ADMIN = "admin"

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can log in. `created_at` is in microseconds since 1970."""

    id: str
    email: str
    name: str
    roles: tuple[str, ...]
    created_at: int


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account and the hash of the password that opens it."""

    account: Account
    password_hash: str


Change = Callable[[Account], Account]


def email_key(email: str) -> str:
    """What makes an email unique: it is compared without case."""
    return email.lower()


def attempts_key(email: str) -> str:
    """Under what failed logins are counted: a digest, for what people mistype is nobody's business."""
    return hashlib.sha256(email_key(email).encode()).hexdigest()


def is_id(text: str) -> bool:
    """Whether anything here can have this id."""
    return _ID.fullmatch(text) is not None


def changed(account: Account, name: str | None, email: str | None) -> Account:
    """The account with what is given."""
    return replace(account, name=account.name if name is None else name.strip(), email=email or account.email)


def require(*violations: Violation) -> None:
    """Raises InvalidArgument if there is any violation."""
    if violations:
        raise InvalidArgument(violations)


def unknown_user() -> DomainError:
    """The refusal for an account that does not exist, or not any more."""
    return DomainError(USER_NOT_FOUND, "there is no such user")


def bad_credentials(detail: str) -> DomainError:
    """The refusal of somebody who has not proved who they are."""
    return DomainError(BAD_CREDENTIALS, detail)


def too_many_attempts(retry_after: float) -> DomainError:
    """The refusal to check any more passwords for now."""
    return DomainError(
        TOO_MANY_ATTEMPTS, "too many failed attempts for this account; try again later", retry_after=retry_after
    )


def email_taken() -> DomainError:
    """The refusal for an email that another account has."""
    return DomainError(EMAIL_TAKEN, "another account has this email")
