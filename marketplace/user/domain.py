"""Accounts: what one is, and what may be said about it. No I/O."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from marketplace.user.text import is_line
from souk.kernel.errors import DomainError, InvalidArgument, Violation

EMAIL_TAKEN = "EMAIL_TAKEN"
BAD_CREDENTIALS = "BAD_CREDENTIALS"
TOO_MANY_ATTEMPTS = "TOO_MANY_ATTEMPTS"
USER_NOT_FOUND = "USER_NOT_FOUND"

CUSTOMER = "customer"
ADMIN = "admin"

MIN_PASSWORD, MAX_PASSWORD = 10, 256
_MAX_NAME, _MAX_EMAIL, _MAX_LOCAL = 100, 254, 64
# The "valid e-mail address" of https://html.spec.whatwg.org/#valid-e-mail-address
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_EMAIL = re.compile(rf"(?P<local>[a-zA-Z0-9.!#$%&'*+/=?^_`{{|}}~-]+)@{_LABEL}(?:\.{_LABEL})*")
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
    """The account with what is given; raises InvalidArgument."""
    new = replace(account, name=(account.name if name is None else name.strip()), email=email or account.email)
    require(*account_violations(new.email if email is None else email, new.name))
    return new


def account_violations(email: str, name: str) -> Iterator[Violation]:
    """What is wrong with an email or a name."""
    if not _is_email(email):
        yield Violation("email", "must be an email address")
    if not is_line(name, _MAX_NAME):
        yield Violation("name", f"must be one line of 1 to {_MAX_NAME} characters")


def password_violations(field: str, password: str) -> Iterator[Violation]:
    """What is wrong with a new password."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        yield Violation(field, f"must be {MIN_PASSWORD} to {MAX_PASSWORD} characters")


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


def _is_email(text: str) -> bool:
    found = _EMAIL.fullmatch(text) if len(text) <= _MAX_EMAIL else None
    if found is None:
        return False
    local = found["local"]
    return len(local) <= _MAX_LOCAL and not local.startswith(".") and not local.endswith(".") and ".." not in local
