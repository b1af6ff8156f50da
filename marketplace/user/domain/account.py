"""Accounts, and the refusals about them. No I/O."""

import re
from dataclasses import dataclass, replace

from souk.sdk import DomainError, InvalidArgument, Unauthenticated, Violation

EMAIL_TAKEN = "EMAIL_TAKEN"
BAD_CREDENTIALS = "BAD_CREDENTIALS"
TOO_MANY_ATTEMPTS = "TOO_MANY_ATTEMPTS"
USER_NOT_FOUND = "USER_NOT_FOUND"
ORDERS_OPEN = "ORDERS_OPEN"
BALANCE_LEFT = "BALANCE_LEFT"
BAD_UNSUBSCRIBE_TOKEN = "BAD_UNSUBSCRIBE_TOKEN"

CUSTOMER = "customer"
ADMIN = "admin"
DEFAULT_LOCALE = "en"

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Account:
    """An account that a user can log in to. `created_at` is in microseconds since 1970.

    `locale` is a language tag (BCP 47). Who is `unsubscribed` gets no mails about the way of orders. `phone` is the
    number for text messages (E.164), or empty.
    """

    id: str
    email: str
    name: str
    roles: tuple[str, ...]
    created_at: int
    locale: str = DEFAULT_LOCALE
    unsubscribed: bool = False
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account and the hash of its password."""

    account: Account
    password_hash: str


@dataclass(frozen=True, slots=True)
class Proof:
    """Proof that a user knew the password with this hash when it was checked, within the login `session`.

    It holds only as long as the account still has that password and the login has not ended.
    """

    user_id: str
    password_hash: str
    session: str


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, its lifetime in seconds, and the refresh token for the next one."""

    access_token: str
    refresh_token: str
    expires_in: int


def email_key(email: str) -> str:
    """Returns the form in which emails are compared: case does not count."""
    return email.lower()


def is_id(text: str) -> bool:
    """Tells whether the text has the form of an id of this service."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Profile:
    """New values of an account; None leaves a value as it is."""

    name: str | None = None
    email: str | None = None
    locale: str | None = None
    unsubscribed: bool | None = None
    phone: str | None = None


def changed(account: Account, profile: Profile) -> Account:
    """Returns the account with the given values."""
    return replace(
        account,
        name=account.name if profile.name is None else profile.name.strip(),
        email=profile.email or account.email,
        locale=profile.locale or account.locale,
        unsubscribed=account.unsubscribed if profile.unsubscribed is None else profile.unsubscribed,
        phone=account.phone if profile.phone is None else profile.phone,
    )


def require(*violations: Violation) -> None:
    """Raises InvalidArgument if any violation is given."""
    if violations:
        raise InvalidArgument(violations)


def unknown_user() -> DomainError:
    """Makes the refusal for an account that does not exist, or no longer does."""
    return DomainError(USER_NOT_FOUND, "the user does not exist")


def bad_credentials(detail: str) -> DomainError:
    """Makes the refusal for a user who has not proved who they are."""
    return DomainError(BAD_CREDENTIALS, detail)


def too_many_attempts(retry_after: float, detail: str = "too many failed attempts; try again later") -> DomainError:
    """Makes the refusal to check more passwords for now; `retry_after` is in seconds."""
    return DomainError(TOO_MANY_ATTEMPTS, detail, retry_after=retry_after)


def ended_session() -> Unauthenticated:
    """Makes the refusal of a token that is older than the last change of the credentials, or was logged out."""
    return Unauthenticated("the login of this token has ended; log in again")


def orders_open() -> DomainError:
    """Makes the refusal to erase an account whose orders are still to be shipped or refunded."""
    return DomainError(ORDERS_OPEN, "orders are under way; cancel them, or delete the account once they are shipped")


def balance_left() -> DomainError:
    """Makes the refusal to erase an account whose wallet holds money."""
    return DomainError(BALANCE_LEFT, "the wallet holds money; spend it, or give it up with forfeitBalance")


def service_unavailable(service: str) -> DomainError:
    """Makes the refusal while a service that must be asked is unavailable; nothing was done."""
    reason = f"{service.upper()}_UNAVAILABLE"
    return DomainError(reason, f"the {service} service cannot be asked just now; try again", retry_after=1.0)


def bad_unsubscribe_token() -> DomainError:
    """Makes the refusal of a token that is in no mail."""
    return DomainError(BAD_UNSUBSCRIBE_TOKEN, "no mail has a link with this token; copy the whole link")


def email_taken() -> DomainError:
    """Makes the refusal for an email that another account has."""
    return DomainError(EMAIL_TAKEN, "another account has this email")
