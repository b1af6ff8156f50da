"""The apps, services and commands that are installed, found by their entry points.

So the platform serves a marketplace without importing one by name.
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
    """Gives the entry points of a group, by name; nothing is imported yet."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


def load(point: EntryPoint) -> Any:
    """Imports what an entry point names. Raises ConfigurationError when that cannot be imported."""
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        cause = f"{error} ({where.filename}, line {where.lineno})" if _of_a_file(where) else str(error)
        raise ConfigurationError(f"{point.group} {point.name!r} is installed but does not load: {cause}") from error


def _of_a_file(where: traceback.FrameSummary) -> bool:
    """Tells whether a line of a module failed, and not the search for the module that the entry point names."""
    return Path(where.filename).is_file() and "importlib" not in Path(where.filename).parts


def app(name: str | None = None) -> App:
    """Loads the app of that name, or the only one that is installed. Raises ConfigurationError if there is none."""
    found = named(APPS)
    if name is not None:
        return _expect(load(_pick(found, name, "app", "SOUK_APP")), App)
    if len(found) != 1:
        listed = ", ".join(found) or "none"
        raise ConfigurationError(f"one app is needed and {len(found)} are installed ({listed}); name it with SOUK_APP")
    return _expect(load(next(iter(found.values()))), App)


def app_with(service: str, name: str | None = None) -> App | None:
    """Loads the app called `name`, or the only one that is installed; None if it lacks that service or cannot load."""
    if name is None and len(named(APPS)) != 1:
        return None
    try:
        found = app(name)
    except ConfigurationError:
        return None  # some of its services are not installed here: this service is served without them
    return found if any(one.name == service for one in found.services) else None


def loadable_services() -> tuple[Service, ...]:
    """Loads every installed service that can be loaded: a broken one must not keep another from starting."""
    found = []
    for point in named(SERVICES).values():
        try:
            found.append(_expect(load(point), Service))
        except ConfigurationError as error:
            logger("hosting").warning("an installed service does not load", reason=str(error))
    return tuple(found)


def service(name: str, *others: str) -> Service:
    """Loads the service of that name. Raises ConfigurationError, whose suggestions include the names `others`."""
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
