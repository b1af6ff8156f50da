"""Reads policies from a mapping, such as a TOML file or a part of the routes file: changes to the defaults, and more.

[reads]                 # changes the policy of that name, or adds it
count = 2400            # requests in each window
window = 60             # seconds
burst = 600             # how many may come at once; without it, all
by = "caller"           # caller, address, api-key, account or account-and-address
classes = ["read"]      # read, write, sensitive, registration
when_away = "local"     # open, closed or local, when Redis is unavailable
ipv6_prefix = 56        # the bits of an IPv6 address that are one client
[writes]
off = true              # no such policy
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from souk.descriptors.contract import RateClass
from souk.gateway.limits.defaults import DEFAULTS
from souk.gateway.limits.gcra import Rate
from souk.gateway.limits.policy import CountedBy, LimitPolicy, WhenAway
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import meant

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
CLASSES = {one.name.lower(): one for one in RateClass}
_REQUIRED = ("count", "window", "by", "classes")


def read_policies(path: Path | None, setting: str) -> tuple[LimitPolicy, ...]:
    """Reads the TOML file that `setting` names; without one, gives the defaults.

    Raises ConfigurationError, in one line.
    """
    if path is None:
        return DEFAULTS
    try:
        return from_mapping(tomllib.loads(path.read_text()))
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{setting}: {path}: {error}") from None


def from_mapping(tables: Mapping[str, Any], base: Iterable[LimitPolicy] = DEFAULTS) -> tuple[LimitPolicy, ...]:
    """Gives the policies of `base`, changed as `tables` says. Raises ValueError or TypeError, which names the value."""
    found = {policy.name: policy for policy in base}
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise TypeError(f"{name} must be a table, as in [{name}]")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r}: the name of a policy is of lower-case letters, digits and dashes, up to 40")
        if _read_off(name, table):
            found.pop(name, None)
        else:
            found[name] = _policy(name, table, found.get(name))
    return tuple(found.values())


def _read_off(name: str, table: Mapping[str, Any]) -> bool:
    off = table.get("off", False)
    if not isinstance(off, bool):
        raise TypeError(f"{name}.off must be true or false")
    if off and len(table) > 1:
        raise ValueError(f"{name}: a policy that is off has no other values")
    return off


def _policy(name: str, table: Mapping[str, Any], base: LimitPolicy | None) -> LimitPolicy:
    given = {key: _value(f"{name}.{key}", key, value) for key, value in table.items() if key != "off"}
    if base is None and (missing := [key for key in _REQUIRED if key not in given]):
        raise ValueError(f"{name} is a new policy, and lacks {', '.join(missing)}")
    values: dict[str, Any] = {} if base is None else _values(base)
    if "count" in given and "burst" not in given:
        values.pop("burst", None)  # a burst of before may be more than the count
    values |= given
    try:
        rate = Rate(values.pop("count"), values.pop("window"), values.pop("burst", 0))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return LimitPolicy(name, rate, **values)


def _values(policy: LimitPolicy) -> dict[str, Any]:
    rate = policy.rate
    return {
        "count": rate.count,
        "window": rate.window,
        "burst": rate.burst,
        "by": policy.by,
        "classes": policy.classes,
        "when_away": policy.when_away,
        "ipv6_prefix": policy.ipv6_prefix,
    }


def _value(path: str, key: str, value: Any) -> Any:
    if key not in _READERS:
        raise ValueError(f"{path}: a policy has no {key!r}{meant(key, _READERS)}")
    try:
        return _READERS[key](value)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None


def _whole(most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not 1 <= value <= most:
            raise ValueError(f"must be a whole number from 1 to {most}")
        return value

    return read


def _window(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value <= 31 * 86_400:
        raise ValueError("must be seconds above 0, at most 31 days")
    return float(value)


def _one_of(known: Mapping[str, Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return known[value]

    return read


def _classes(value: Any) -> frozenset[RateClass]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"must be a list of {', '.join(CLASSES)}")
    return frozenset(_one_of(CLASSES)(one) for one in value)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "count": _whole(1_000_000_000),
    "window": _window,
    "burst": _whole(1_000_000_000),
    "by": _one_of({str(one): one for one in CountedBy}),
    "classes": _classes,
    "when_away": _one_of({str(one): one for one in WhenAway}),
    "ipv6_prefix": _whole(128),
}
