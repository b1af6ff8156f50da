"""How calls between services are protected: the defaults, and the file that changes them.

SOUK_RESILIENCE names a TOML file, which changes them for all callees (`default`) or for one by its name:

    [default.breaker]
    failure_rate = 0.5          # see BreakerSettings; times are seconds
    open_for = 5.0              # first open interval
    longest_open_for = 60.0     # after failed probes it doubles up to this
    [payment.breaker]
    preset = "textbook"         # more than 3 failures in a row, 5 s, one probe
    [payment.bulkhead]
    running = 64
    waiting = 256
    user_running = 16           # how many of them may be one user's
    user_waiting = 64
    [product.retry]
    tries = 2
    [product.balancer]
    choice = "round-robin"      # or "two-choices", "random"
    warm_up = 10.0
    subset = 20
    ejection_failures = 5
"""

import asyncio
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, TypeVar

from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import meant
from souk.resilience.backoff import Backoff
from souk.resilience.balancer import Balancer, BalancerSettings, EjectionSettings
from souk.resilience.breaker.settings import TEXTBOOK, BreakerSettings
from souk.resilience.bulkhead import Bulkhead
from souk.resilience.choices import Choice, at_random, round_robin, two_choices
from souk.resilience.retry import RetrySettings

DEFAULT = "default"
PRESETS: Mapping[str, BreakerSettings] = MappingProxyType({"default": BreakerSettings(), "textbook": TEXTBOOK})
CHOICES: Mapping[str, Callable[[], Choice]] = MappingProxyType(
    {
        "two-choices": lambda: two_choices(Random()),
        "random": lambda: at_random(Random()),
        "round-robin": round_robin,
    }
)
WARM_UP = 5.0
_BULKHEAD = ("running", "waiting", "user_running", "user_waiting")
_NESTED = {"open_for", "ejection", "backoff", "name", "zone"}
"""Fields that have another form in the file, or that the file cannot set."""

S = TypeVar("S", BreakerSettings, RetrySettings, BalancerSettings)
Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Protection:
    """The breaker, retry, bulkhead and balancer settings of the calls to one service."""

    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    running: int = 256
    waiting: int = 1024
    user_running: int = 64
    user_waiting: int = 256
    balancer: BalancerSettings = field(default_factory=lambda: BalancerSettings(warm_up=WARM_UP))
    choice: str = "two-choices"

    def bulkhead(self) -> "Bulkhead[asyncio.Future[None]]":
        """Makes a bulkhead with these limits of running and waiting calls."""
        return Bulkhead(self.running, self.waiting, self.user_running, self.user_waiting)

    def new_balancer(self) -> Balancer:
        """Makes a balancer that chooses among instances by `choice`; it knows no instance yet."""
        return Balancer(CHOICES[self.choice](), self.balancer)


@dataclass(frozen=True, slots=True)
class Resilience:
    """Protections by the name of the callee."""

    default: Protection = field(default_factory=Protection)
    callees: Mapping[str, Protection] = field(default_factory=dict)

    def of(self, callee: str) -> Protection:
        """Gives the protection of the calls to `callee`: its own, or the default."""
        return self.callees.get(callee, self.default)


def read_resilience(path: Path | None) -> Resilience:
    """Reads the file; without one, gives the defaults. Raises ConfigurationError, in one line."""
    if path is None:
        return Resilience()
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"SOUK_RESILIENCE: {path} cannot be read ({error})") from None
    try:
        default = _protection(Protection(), tables.pop(DEFAULT, {}), DEFAULT)
        return Resilience(default, {name: _protection(default, table, name) for name, table in tables.items()})
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"SOUK_RESILIENCE: {path}: {error}") from None


def _protection(base: Protection, table: Any, path: str) -> Protection:
    parts = {"breaker": _breaker, "retry": _retry, "bulkhead": _bulkhead, "balancer": _balancer}
    for name, part in _table(table, path).items():
        read = parts[_known(name, parts, path)]
        base = read(base, _table(part, f"{path}.{name}"), f"{path}.{name}")
    return base


def _breaker(base: Protection, table: Table, path: str) -> Protection:
    values = dict(table)
    preset = values.pop("preset", None)
    settings = base.breaker if preset is None else PRESETS[_known(preset, PRESETS, f"{path}.preset")]
    first, longest = values.pop("open_for", None), values.pop("longest_open_for", None)
    if first is not None or longest is not None:
        initial = _number(first, f"{path}.open_for") if first is not None else settings.open_for.initial
        cap = _number(longest, f"{path}.longest_open_for") if longest is not None else settings.open_for.cap
        settings = replace(settings, open_for=Backoff(initial, max(initial, cap), jitter=0.0))
    return replace(base, breaker=_replaced(settings, values, path))


def _retry(base: Protection, table: Table, path: str) -> Protection:
    return replace(base, retry=_replaced(base.retry, table, path))


def _bulkhead(base: Protection, table: Table, path: str) -> Protection:
    known: dict[str, Any] = {name: getattr(base, name) for name in _BULKHEAD}
    for name, value in table.items():
        known[_known(name, known, path)] = _whole(value, f"{path}.{name}")
    return replace(base, **known)


def _balancer(base: Protection, table: Table, path: str) -> Protection:
    values = dict(table)
    choice = _known(values.pop("choice", base.choice), CHOICES, f"{path}.choice")
    ejection = base.balancer.ejection
    if "ejection_failures" in values:
        failures = _whole(values.pop("ejection_failures"), f"{path}.ejection_failures")
        ejection = EjectionSettings(failures, ejection.ejected_for, ejection.most)
    balancer = _replaced(replace(base.balancer, ejection=ejection), values, path)
    return replace(base, balancer=balancer, choice=choice)


def _replaced(settings: S, values: Table, path: str) -> S:
    """Gives settings with some values changed, each of the type that it had."""
    kinds = {one.name: type(getattr(settings, one.name)) for one in fields(settings) if one.name not in _NESTED}
    readers = {bool: _flag, int: _whole}
    changed: dict[str, Any] = {
        name: readers.get(kinds[_known(name, kinds, path)], _number)(value, f"{path}.{name}")
        for name, value in values.items()
    }
    return replace(settings, **changed)


def _known(name: Any, names: Mapping[str, Any], path: str) -> str:
    if name in names:
        return str(name)
    raise ValueError(f"{path} has no {name!r}{meant(str(name), names)}")


def _table(value: Any, path: str) -> Table:
    if not isinstance(value, dict):
        raise TypeError(f"{path} must be a table, as in [{path}.breaker]")
    return value


def _whole(value: Any, path: str) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{path} must be a whole number from 1")
    return value


def _number(value: Any, path: str) -> float:
    if type(value) not in (int, float) or not 0 <= value <= sys.float_info.max:
        raise ValueError(f"{path} must be a number from 0")
    return float(value)


def _flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{path} must be true or false")
    return value
