"""The settings of User, read once from text."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from marketplace.user.domain.signing import Schedule
from souk.sdk import MICROSECONDS, ConfigurationError, Setting, whole_number

_MINUTE = 60
_HOUR = 3_600
_MOST = 999_999_999

DEFAULTS: Mapping[str, int] = MappingProxyType(
    {
        "access_token_seconds": 15 * _MINUTE,
        "refresh_token_hours": 30 * 24,
        "signing_key_hours": 30 * 24,
        "signing_key_lead_seconds": _HOUR,
    }
)
"""The settings and their defaults; all are whole numbers from 1."""

_MEANINGS = {
    "access_token_seconds": ("How long an access token is valid.", "seconds"),
    "refresh_token_hours": ("How long a login can be extended without the password.", "hours"),
    "signing_key_hours": ("How long a key signs tokens before the next one does.", "hours"),
    "signing_key_lead_seconds": ("How long a key is published before it signs, at least 120.", "seconds"),
}
SETTINGS = tuple(Setting(name, _MEANINGS[name][0], str(value), _MEANINGS[name][1]) for name, value in DEFAULTS.items())

MIN_LEAD = 2 * _MINUTE
"""The least lead in seconds: every replica and every verifier must know a key before it signs."""
_LINGER_MARGIN = 5 * _MINUTE


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Lifetimes: of access tokens in seconds; of a family of refresh tokens, from each rotation, in microseconds."""

    access_seconds: int
    refresh_lifetime: int


@dataclass(frozen=True, slots=True)
class UserSettings:
    """The settings of the service, read once."""

    tokens: TokenSettings
    keys: Schedule


def read_settings(values: Mapping[str, str]) -> UserSettings:
    """Reads the settings; raises ConfigurationError for a number out of its limits."""
    numbers = {name: _number(name, values[name]) if name in values else DEFAULTS[name] for name in DEFAULTS}
    lead, hours = numbers["signing_key_lead_seconds"], numbers["signing_key_hours"]
    if not MIN_LEAD <= lead < hours * _HOUR:
        raise ConfigurationError(
            f"user setting signing_key_lead_seconds must be at least {MIN_LEAD} and less than the key's lifetime"
        )
    return UserSettings(
        tokens=TokenSettings(
            access_seconds=numbers["access_token_seconds"],
            refresh_lifetime=numbers["refresh_token_hours"] * _HOUR * MICROSECONDS,
        ),
        keys=Schedule(
            lead=lead * MICROSECONDS,
            lifetime=hours * _HOUR * MICROSECONDS,
            linger=(numbers["access_token_seconds"] + _LINGER_MARGIN) * MICROSECONDS,
        ),
    )


def _number(name: str, text: str) -> int:
    number = whole_number(text, _MOST)
    if not number:
        raise ConfigurationError(f"user setting {name} must be a whole number from 1, not {text[:20]!r}")
    return number
