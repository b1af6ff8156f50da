"""Which processes of a mesh are isolated, in network namespaces, what they reach outside, and why others are not.

An isolated process reaches sockets with a path, and through its egress what its settings name. So nobody is isolated
where engines or the registry are at ports, and a process is not that calls something whose host and port are unknown.
"""

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from souk.gateway.settings import GATEWAY_SERVICE
from souk.runtime.config.settings import Settings
from souk.runtime.config.variables import PREFIX
from souk.runtime.process.launcher import with_files
from souk.runtime.service import Service
from souk.supervisor.capacity import require_known
from souk.supervisor.isolation.addresses_inside import InsideAddresses
from souk.supervisor.isolation.destinations import LOCALHOST, Destination, destination_of
from souk.supervisor.isolation.network_namespace import new_namespace

SIDECAR_PORT = 15_001
"""The port of the loopback at which a sidecar takes the calls of its application."""
_AT_SOCKETS = ("unix:", "redis+unix:")


@dataclass(frozen=True, slots=True)
class Isolation:
    """Why a process is not isolated, "" if it is, and the `destinations` that it reaches then."""

    why_not: str = ""
    destinations: tuple[Destination, ...] = ()


@dataclass(frozen=True, slots=True)
class IsolationRules:
    """`hindrance` says why nobody is isolated, and `outside` why single services are not, by their names. `receivers`
    are what everybody sends telemetry to. `given` are the settings that name what a service reaches, by service and
    variable; a version of it can have others. `check_files` says why processes cannot be given files of their own."""

    hindrance: str
    outside: Mapping[str, str]
    receivers: tuple[Destination, ...] = ()
    given: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    check_files: Callable[[Mapping[str, str]], str] = lambda files: ""

    def of(self, service: str, variables: Mapping[str, str]) -> Isolation:
        """Decides it for processes of a service that get these variables besides."""
        if reason := self.hindrance or self.outside.get(service, ""):
            return Isolation(reason)
        found = list(self.receivers)
        for variable, text in self.given.get(service, {}).items():
            if _has_path(address := variables.get(variable, text)):
                continue
            if (destination := _usable(address)) is None:
                return Isolation(f"it calls what {variable} names")
            found.append(destination)
        reason = self.check_files(InsideAddresses(found).files)
        return Isolation(reason) if reason else Isolation("", tuple(sorted(set(found))))


def isolation_rules(
    services: Sequence[Service],
    settings: Settings,
    registry: str,
    make: Callable[[], int] = new_namespace,
    check_files: "Callable[[Mapping[str, str]], str] | None" = None,
) -> IsolationRules:
    """Decides it for a fleet with these settings. `make` makes a namespace, to know whether this machine allows it.

    Raises ConfigurationError when SOUK_MESH_OUTSIDE names an unknown service.
    """
    outside = {}
    if settings.http.issuers is not None or settings.http.routes is not None:
        variable = f"{PREFIX}{'ROUTES' if settings.http.issuers is None else 'ISSUERS'}"
        outside[GATEWAY_SERVICE] = f"it calls what {variable} names"
    for name in settings.fleet.outside:
        require_known(name, [GATEWAY_SERVICE, *(service.name for service in services)])
        outside[name] = f"{PREFIX}MESH_OUTSIDE names it"
    given = {
        one.name: {
            f"{PREFIX}{one.name}_{name}".upper(): settings.services.get(one.name, {}).get(name, "")
            for name in one.reaches
        }
        for one in services
    }
    receivers = [*settings.tracing.receivers, *filter(None, [settings.log_export.receiver])]
    reached = tuple(one for one in map(_usable, receivers) if one is not None)
    hindrance = _at_a_port(settings, registry) or _unknown_receiver(receivers) or _not_allowed(make)
    return IsolationRules(hindrance, outside, reached, given, check_files or FilesCheck())


class FilesCheck:
    """Tries once whether processes can be given files of their own; calls say why they cannot, or ""."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, ...], str] = {}

    def __call__(self, files: Mapping[str, str]) -> str:
        """Says why processes cannot find these texts in place of the files of their paths."""
        if not files:
            return ""
        paths = tuple(files)
        if paths not in self._results:
            tried = subprocess.run((*with_files(files), "true"), capture_output=True, text=True, check=False)
            reason = tried.stderr.strip().rpartition("\n")[2] or f"status {tried.returncode}"
            self._results[paths] = f"names of hosts cannot be resolved in it: {reason}" if tried.returncode else ""
        return self._results[paths]


def _at_a_port(settings: Settings, registry: str) -> str:
    addresses = {
        "the registry": registry,
        "PostgreSQL": settings.data.postgres,
        "Redis": settings.data.redis,
        "the broker": settings.events.url,
        "the search engine": settings.data.search,
    }
    for name, address in addresses.items():
        if not _has_path(address):
            return f"{name} is not at a socket with a path, as all that processes use must be"
    if settings.process.metrics_port is not None:
        return f"metrics are at ports: leave out {PREFIX}METRICS_PORT"
    return ""


def _has_path(address: str | None) -> bool:
    return not address or address.startswith(_AT_SOCKETS)


def _not_allowed(make: Callable[[], int]) -> str:
    try:
        os.close(make())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return f"this user may not make network namespaces ({reason}); it needs CAP_SYS_ADMIN, as root has it"
    return ""


def _unknown_receiver(receivers: Iterable[str]) -> str:
    if all(map(_usable, receivers)):
        return ""
    return "an exporter of traces or logs sends to something whose host and port are unknown"


def _usable(url: str) -> Destination | None:
    """Gives the destination of a URL, unless a sidecar has its place inside."""
    found = destination_of(url)
    taken = found is not None and found.port == SIDECAR_PORT and found.host in {LOCALHOST, "127.0.0.1"}
    return None if taken else found
