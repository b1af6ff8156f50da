"""Other issuers of access tokens, and the file that lists them.

SOUK_ISSUERS names a TOML file with a table for each, by the name that becomes part of its subjects:

    [staff]
    issuer = "https://login.example.com/realms/staff"
    audience = "souk"
    algorithms = ["RS256"]                   # RS256 by default; also ES256, PS256, EdDSA, Ed25519
    jwks_hosts = ["keys.example.com"]        # if its keys are at another host
    roles_claim = "realm_access.roles"       # no roles without it
    roles = {shop-admins = "admin"}
    scope_claim = "scope"
    scoped = false                           # true: only what the scopes name may be called
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from souk.gateway.auth.discovery import is_safe
from souk.gateway.auth.verification_key import ALGORITHMS
from souk.gateway.settings import IssuerSettings
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import meant

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def read_issuers(path: Path | None) -> tuple[IssuerSettings, ...]:
    """Reads the file; without one there are no other issuers. Raises ConfigurationError, in one line."""
    if path is None:
        return ()
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"SOUK_ISSUERS: {path} cannot be read ({error})") from None
    try:
        if wrong := [name for name, table in tables.items() if not isinstance(table, Mapping)]:
            raise ValueError(f"{wrong[0]} must be a table")
        found = tuple(_issuer(name, table) for name, table in tables.items())
        if len({one.issuer for one in found}) < len(found):
            raise ValueError("two tables have the same issuer")
    except ValueError as error:
        raise ConfigurationError(f"SOUK_ISSUERS: {path}: {error}") from None
    return found


def _issuer(name: str, table: Mapping[str, Any]) -> IssuerSettings:
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name {name!r} must be of small letters, digits and hyphens, and begin with a letter")
    for member in table:
        if member not in _MEMBERS:
            raise ValueError(f"{name}.{member} is unknown{meant(member, _MEMBERS)}")
    if missing := [member for member in ("issuer", "audience") if member not in table]:
        raise ValueError(f"{name} has no {' and no '.join(missing)}")
    return IssuerSettings(name, **{member: _value(name, member, value) for member, value in table.items()})


def _value(name: str, member: str, value: Any) -> Any:
    fits, wanted = _MEMBERS[member]
    if not fits(value):
        raise ValueError(f"{name}.{member} must be {wanted}")
    return tuple(value) if isinstance(value, list) else value


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _algorithms(value: Any) -> bool:
    return _texts(value) and bool(value) and set(value) <= ALGORITHMS.keys()


def _roles(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_text, value.values()))


def _address(value: Any) -> bool:
    return _text(value) and is_safe(value)


_MEMBERS: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "issuer": (_address, "an https URL without query, as its tokens have it in `iss` (http on loopback only)"),
        "audience": (_text, "the text that its tokens have in `aud`"),
        "algorithms": (_algorithms, f"a list of {', '.join(ALGORITHMS)}"),
        "jwks_hosts": (_texts, "a list of hosts, each with its port unless that is the default"),
        "roles_claim": (_text, "the path of a claim"),
        "roles": (_roles, "a table of roles by the values of the claim"),
        "scope_claim": (_text, "the path of a claim"),
        "scoped": (lambda value: isinstance(value, bool), "true or false"),
    }
)
