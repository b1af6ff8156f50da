"""What is installed: apps, services and commands, found by their entry points.

That is how the platform finds a marketplace without knowing one.
"""

import traceback
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import meant
from souk.runtime.service import App, Service
from souk.telemetry.logs import logger

APPS = "souk.apps"
SERVICES = "souk.services"
COMMANDS = "souk.commands"

K = TypeVar("K")


def named(group: str) -> Mapping[str, EntryPoint]:
    """The entry points of a group, by name; nothing is imported yet."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


def load(point: EntryPoint) -> Any:
    """Imports what an entry point names; raises ConfigurationError when it is not there."""
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        cause = f"{error} ({where.filename}, line {where.lineno})" if _of_a_file(where) else str(error)
        raise ConfigurationError(f"{point.group} {point.name!r} is installed but does not load: {cause}") from error


def _of_a_file(where: traceback.FrameSummary) -> bool:
    """Whether a module's own line failed, and not the search for the module that the entry point names."""
    return Path(where.filename).is_file() and "importlib" not in Path(where.filename).parts


def app(name: str | None = None) -> App:
    """The app of that name, or the only one that is installed."""
    found = named(APPS)
    if name is not None:
        return _expect(load(_pick(found, name, "app", "SOUK_APP")), App)
    if len(found) != 1:
        listed = ", ".join(found) or "none"
        raise ConfigurationError(f"one app is needed and {len(found)} are installed ({listed}); name it with SOUK_APP")
    return _expect(load(next(iter(found.values()))), App)


def app_with(service: str, name: str | None = None) -> App | None:
    """The app that is meant by `name`, or the only one that is installed, if it has that service."""
    if name is None and len(named(APPS)) != 1:
        return None
    try:
        found = app(name)
    except ConfigurationError:
        return None  # a part of it is not installed here: the service is served without the others
    return found if any(one.name == service for one in found.services) else None


def loadable_services() -> tuple[Service, ...]:
    """Every installed service that loads: one that is broken must not keep another from starting."""
    found = []
    for point in named(SERVICES).values():
        try:
            found.append(_expect(load(point), Service))
        except ConfigurationError as error:
            logger("hosting").warning("an installed service does not load", reason=str(error))
    return tuple(found)


def service(name: str, *others: str) -> Service:
    """The service of that name; `others` are names that would have been right, too."""
    return _expect(load(_pick(named(SERVICES), name, "service", "souk serve", *others)), Service)


def _expect(value: object, kind: type[K]) -> K:
    if not isinstance(value, kind):
        raise ConfigurationError(f"an entry point names {value!r}, which is not a {kind.__name__}")
    return value


def _pick(found: Mapping[str, EntryPoint], name: str, what: str, where: str, *others: str) -> EntryPoint:
    if name in found:
        return found[name]
    hint = meant(name, [*found, *others]) or f"; no {what} is installed"
    raise ConfigurationError(f"{where}: there is no {what} {name!r}{hint}")
