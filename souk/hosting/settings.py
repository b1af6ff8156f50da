"""Settings: the only place that reads the environment.

Everything that can be set is one frozen value, made once from flags of the command line, which win,
and from variables `SOUK_*`. A service's own settings are named by its `Service.settings`, and are
`SOUK_<SERVICE>_<SETTING>`. A variable `SOUK_*` that nobody knows is an error: a wrong name would
otherwise be a setting that silently does nothing.
"""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from souk.hosting.installed import loadable_services
from souk.hosting.service import Service
from souk.kernel.errors import ConfigurationError
from souk.telemetry.logs import LEVELS

PREFIX = "SOUK_"
LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
TOPOLOGIES = ("monolith", "fleet")
SHORTEST_SECRET = 32
SERVICE_PLACE = "{service}"
"""Stands for a service's name in the URL of its database."""
_HIDDEN = ("secret", "postgres")

_ROUTE = re.compile(r"[^/]+/[^/]+")
_TYPE = re.compile(r"\w+(\.\w+)+", re.ASCII)
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set, and what it is unless set.

    `postgres` is the URL of each service's database, with SERVICE_PLACE for the service's name; without
    it each has a SQLite file in `data`. `host` and `port` are the gateway's; `host` None means every
    interface, or loopback alone with `demo`. `addresses` says where services of other processes listen,
    by name. `subscriptions` says which types of events consumers of services hear that are not
    installed here, by "service/consumer". `log_file` takes the log instead of standard error. `faults`
    arms named points at which the process dies (development only). `secret` signs the callers that
    services tell each other; None means the one that is kept in the data directory. `drain` is how many
    seconds running requests are given when the process is asked to stop. `services` holds the services'
    own settings, by service.
    """

    data: Path = Path("var/souk")
    postgres: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int = 8080
    demo: bool = False
    app: str | None = None
    topology: str = "monolith"
    scale: Mapping[str, int] = field(default_factory=dict)
    log_level: str = "info"
    log_file: Path | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    subscriptions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)
    drain: float = 20.0
    services: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @property
    def bind(self) -> str:
        """The address the gateway listens on."""
        return self.host or (LOOPBACK if self.demo else EVERYWHERE)


def _flag(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("must be true or false")


def port_number(text: str | int) -> int:
    """A TCP port; 0 lets the system choose. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,5}", str(text)) or int(text) > 65_535:
        raise ValueError("must be a port, 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text):
        raise ValueError("must be seconds, as in 2.5")
    return float(text)


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def pairs(text: str) -> dict[str, str]:
    """Reads `name=value,name=value`. Raises ValueError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not (name and equals and value) or name in found:
            raise ValueError("must read name=value,name=value, each name once")
        found[name] = value
    return found


def counts(text: str) -> dict[str, int]:
    """Reads `name=2,name=3`. Raises ValueError."""
    return {name: _count(value) for name, value in pairs(text).items()}


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ValueError("must count from 0, as in name=2")
    return int(text)


def _addresses(text: str) -> dict[str, str]:
    found = pairs(text)
    for address in found.values():
        host, colon, port = address.rpartition(":")
        if not (host and colon) or port_number(port) == 0:
            raise ValueError("must read service=host:port,service=host:port")
    return found


def _subscriptions(text: str) -> dict[str, tuple[str, ...]]:
    found = {route: tuple(types.split("+")) for route, types in pairs(text).items()}
    for route, types in found.items():
        if not _ROUTE.fullmatch(route) or not all(_TYPE.fullmatch(name) for name in types):
            raise ValueError("must read service/consumer=package.Event+package.Event,...")
    return found


def _secret(text: str) -> str:
    if len(text) < SHORTEST_SECRET:
        raise ValueError(f"must have at least {SHORTEST_SECRET} characters")
    return text


def _postgres(text: str) -> str:
    expected = f"must read postgresql://user:password@host:port/{SERVICE_PLACE}, with {SERVICE_PLACE} as it stands here"
    try:
        url = urlsplit(text)
        well_formed = url.port != 0
    except ValueError:
        raise ValueError(expected) from None
    if not well_formed or url.scheme not in ("postgresql", "postgres") or SERVICE_PLACE not in url.path:
        raise ValueError(expected)
    return text


_READERS: Mapping[str, Callable[[str], Any]] = {
    "data": Path,
    "postgres": _postgres,
    "host": str,
    "port": port_number,
    "demo": _flag,
    "app": str,
    "topology": _one_of(*TOPOLOGIES),
    "scale": counts,
    "log_level": _one_of(*LEVELS),
    "log_file": Path,
    "addresses": _addresses,
    "subscriptions": _subscriptions,
    "faults": counts,
    "secret": _secret,
    "drain": _seconds,
}


VARIABLES = tuple(PREFIX + name.upper() for name in _READERS)
"""The platform's own variables; services have more."""


def _known(services: Iterable[Service]) -> dict[str, tuple[str, str]]:
    """Every variable, with the service that it belongs to ("" for the platform) and its name there."""
    known = {variable: ("", name) for variable, name in zip(VARIABLES, _READERS, strict=True)}
    for service in services:
        for name in service.settings:
            known[f"{PREFIX}{service.name}_{name}".upper()] = (service.name, name)
    return known


def _read(variable: str, name: str, text: str) -> Any:
    try:
        return _READERS[name](text)
    except ValueError as error:
        shown = "its value" if name in _HIDDEN else repr(text)
        raise ConfigurationError(f"{variable}: {shown} {error}") from None


def read(
    environment: Mapping[str, str],
    flags: Mapping[str, Any] = _EMPTY,
    services: Iterable[Service] = (),
    defaults: Settings | None = None,
) -> Settings:
    """The settings out of an environment and flags; a flag that is None was not given.

    Raises ConfigurationError, in one line, for an unknown variable or a value that does not fit.
    """
    known = _known(services)
    values: dict[str, Any] = {}
    own: dict[str, dict[str, str]] = {}
    for variable in sorted(name for name in environment if name.startswith(PREFIX)):
        if variable not in known:
            nearest = difflib.get_close_matches(variable, known, n=1, cutoff=0.0)[0]
            raise ConfigurationError(f"{variable} is not a setting; the nearest is {nearest}")
        service, name = known[variable]
        if service:
            own.setdefault(service, {})[name] = environment[variable]
        else:
            values[name] = _read(variable, name, environment[variable])
    values.update({name: value for name, value in flags.items() if value is not None})
    return _checked(replace(defaults or Settings(), services=own, **values))


def from_environment(
    flags: Mapping[str, Any] = _EMPTY, services: Iterable[Service] = (), defaults: Settings | None = None
) -> Settings:
    """The settings of this process. The settings of every installed service are known besides those given."""
    return read(os.environ, flags, (*services, *loadable_services()), defaults)


def _checked(settings: Settings) -> Settings:
    if settings.demo and settings.bind not in {LOOPBACK, "::1", "localhost"}:
        raise ConfigurationError(
            f"demo data has public passwords and is served on loopback only, not on {settings.bind}; "
            "leave out SOUK_HOST, or start with --no-demo"
        )
    return settings
