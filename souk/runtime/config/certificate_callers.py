"""The file that says which caller the certificate of a client stands for.

SOUK_HTTP_CLIENT_CALLERS names a TOML file with a table for each, by its name:

    [billing-robot]
    san_uri = "spiffe://shop.example/billing"    # or san_dns = "billing.shop.example",
                                                 # or subject_dn = "CN=billing,O=Shop" (RFC 4514)
    scopes = ["order:read", "payment:read"]
    user = "U-7"                                 # whom it acts for; without it, it is certificate|billing-robot
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from souk.gateway.auth.client_certificates import named
from souk.gateway.settings import CertificateCaller
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import meant

_VARIABLE = "SOUK_HTTP_CLIENT_CALLERS"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_NAMING = ("san_uri", "san_dns", "subject_dn")
_MEMBERS = (*_NAMING, "scopes", "user")


def read_certificate_callers(path: Path | None) -> tuple[CertificateCaller, ...] | None:
    """Reads the file; None without one: certificates stand for nobody. Raises ConfigurationError, in one line."""
    if path is None:
        return None
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{_VARIABLE}: {path} cannot be read ({error})") from None
    try:
        found = tuple(_caller(name, table) for name, table in tables.items())
        _require_different(found)
    except ValueError as error:
        raise ConfigurationError(f"{_VARIABLE}: {path}: {error}") from None
    return found


def _caller(name: str, table: Any) -> CertificateCaller:
    if not isinstance(table, Mapping):
        raise ValueError(f"{name} must be a table")  # noqa: TRY004  # it is a file's value
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name {name!r} must be of small letters, digits and hyphens, and begin with a letter")
    for member, value in table.items():
        if member not in _MEMBERS:
            raise ValueError(f"{name}.{member} is unknown{meant(member, _MEMBERS)}")
        if not (_texts(value) if member == "scopes" else isinstance(value, str) and value):
            raise ValueError(f"{name}.{member} must be {'a list of texts' if member == 'scopes' else 'a text'}")
    if sum(member in table for member in _NAMING) != 1:
        raise ValueError(f"{name} must have one of {', '.join(_NAMING)}")
    if not table.get("scopes"):
        raise ValueError(f"{name} has no scopes, and could call nothing")
    caller = CertificateCaller(name, **{**table, "scopes": tuple(table["scopes"])})
    try:
        named(caller)
    except ValueError as error:
        raise ValueError(f"{name}.subject_dn is no subject as in RFC 4514: {error}") from None
    return caller


def _require_different(callers: Iterable[CertificateCaller]) -> None:
    known: dict[tuple[str, str], str] = {}
    for one in callers:
        other = known.setdefault(named(one), one.name)
        if other != one.name:
            raise ValueError(f"{other} and {one.name} have the same {named(one)[0]}")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one for one in value)
