"""Makes the settings: the only place that reads the environment.

They are made once, from the variables `SOUK_*`, from those of OpenTelemetry (`OTEL_*`), and from flags of the command
line, which win. A service's own
settings are named by its `Service.settings`, and their variables are `SOUK_<SERVICE>_<SETTING>`. An unknown variable
`SOUK_*` is an error: a wrong name would otherwise be a setting that silently does nothing.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from souk.kernel.addresses import ON_LOOPBACK
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import nearest
from souk.runtime.config.entry_points import loadable_services
from souk.runtime.config.settings import Settings
from souk.runtime.config.variables import BY_NAME, PREFIX, VARIABLES, with_values
from souk.runtime.service import Service
from souk.telemetry.log_export.settings import read_log_export
from souk.telemetry.tracing.settings import read_tracing

_EMPTY: Mapping[str, Any] = MappingProxyType({})


def _known(services: Iterable[Service]) -> dict[str, tuple[str, str]]:
    """Gives every variable with the service that it belongs to ("" for the platform) and its name there."""
    known = {variable: ("", name) for variable, name in zip(VARIABLES, BY_NAME, strict=True)}
    for service in services:
        for setting in service.settings:
            known[f"{PREFIX}{service.name}_{setting.name}".upper()] = (service.name, setting.name)
    return known


def _read(variable: str, name: str, text: str) -> Any:
    about = BY_NAME[name]
    try:
        return about.parse(text)
    except ValueError as error:
        shown = "its value" if about.hidden else repr(text)
        raise ConfigurationError(f"{variable}: {shown} {error}") from None


def read(
    environment: Mapping[str, str],
    flags: Mapping[str, Any] = _EMPTY,
    services: Iterable[Service] = (),
    defaults: Settings | None = None,
) -> Settings:
    """Makes settings from an environment and flags; a flag that is None was not given.

    Raises ConfigurationError, in one line, for an unknown variable or a value that does not fit.
    """
    known = _known(services)
    found: dict[str, Any] = {}
    own: dict[str, dict[str, str]] = {}
    for variable in sorted(name for name in environment if name.startswith(PREFIX)):
        if variable not in known:
            raise ConfigurationError(
                f"{variable} is not a setting; the nearest is {nearest(variable, known, like=0.0)}"
            )
        service, name = known[variable]
        if service:
            own.setdefault(service, {})[name] = environment[variable]
        else:
            found[name] = _read(variable, name, environment[variable])
    found.update({name: value for name, value in flags.items() if value is not None})
    made = replace(defaults or Settings(), services=own, tracing=read_tracing(environment))
    made = replace(made, log_export=read_log_export(environment))
    return _checked(with_values(made, found))


def from_environment(
    flags: Mapping[str, Any] = _EMPTY, services: Iterable[Service] = (), defaults: Settings | None = None
) -> Settings:
    """Reads the settings of this process; it knows those of every installed service and of the given `services`."""
    return read(os.environ, flags, (*services, *loadable_services()), defaults)


def inherited() -> dict[str, str]:
    """Gives the environment variables of this process, for the processes that it starts."""
    return dict(os.environ)


def _checked(settings: Settings) -> Settings:
    address = settings.listen.address
    if settings.demo and address not in ON_LOOPBACK:
        raise ConfigurationError(
            f"demo data has public passwords and is served on loopback only, not on {address}; "
            "leave out SOUK_HOST, or start with --no-demo"
        )
    return settings
