"""Finds the databases of a system for a command that opens them from outside.

A system of one process has files in its data directory. A fleet has its own PostgreSQL, which runs while the fleet
does; its passwords are in the directory as well. SOUK_POSTGRES names another server: with an administrator's URL, the
passwords that a fleet has generated for that server are used.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from souk.admin.client import not_ours, runs
from souk.backing.credentials import Credentials
from souk.backing.postgres.roles import PREFIX, PostgresServer, is_template
from souk.backing.postgres.server import socket_of
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import DataSettings
from souk.runtime.data.layout import DataLayout
from souk.runtime.data.postgres_version import data_version
from souk.telemetry.logs import logger

FLEET = "fleet"
POOL = 2
"""Connections of a command to each database; the fleet needs the rest."""

_log = logger("hosting")


@dataclass(frozen=True, slots=True)
class DatabaseLocator:
    """The databases that the settings name, or those on the `server` on which a fleet made one for each service."""

    settings: DataSettings
    server: PostgresServer | None = None

    @property
    def in_files(self) -> bool:
        """Whether the databases are files, which only one process may use: a running system locks them."""
        return self.server is None and self.settings.postgres is None

    def has(self, service: str) -> bool:
        """Tells whether there can be a database of the service."""
        return self.server is None or PREFIX + service in self.server.credentials

    def of(self, service: str) -> DataSettings:
        """Gives the settings with which a service opens its database. Raises ConfigurationError if there is none."""
        if self.server is None:
            return self.settings
        if not self.has(service):
            raise ConfigurationError(f"the fleet on {self.settings.directory} has no database of {service!r}")
        return replace(self.settings, postgres=self.server.service_url(service), postgres_pool=POOL)


def locate_databases(settings: DataSettings, topology: str) -> DatabaseLocator:
    """Finds the databases of a system of this topology.

    Raises ConfigurationError, in one line, when they are a fleet's and cannot be reached now, or are another user's.
    """
    layout = DataLayout(settings.directory.resolve())
    if layout.data.is_dir() and not os.access(layout.data, os.R_OK | os.X_OK):
        raise ConfigurationError(not_ours(settings.directory))
    if settings.postgres is not None:
        return _on_a_given_server(settings, settings.postgres, layout)
    if topology != FLEET and not layout.processes.parent.is_dir():
        return DatabaseLocator(settings)
    socket = socket_of(layout.postgres)
    if socket is not None:
        url = f"postgresql:///postgres?host={quote(str(socket))}"
        return DatabaseLocator(settings, PostgresServer(url, Credentials(layout.credentials), ours=True))
    if topology != FLEET and any(layout.data.glob("*.db")):
        _log.warning("this is about the files of a system of one process; a fleet that is stopped has data here, too")
        return DatabaseLocator(settings)
    raise ConfigurationError(_away(settings, layout))


def nothing_kept(data: Path) -> str:
    """Gives the message for a directory in which no system has kept data."""
    return (
        f"no system has kept data in {data}; name another directory with --data, "
        "or set SOUK_POSTGRES to where the databases are"
    )


def _on_a_given_server(settings: DataSettings, url: str, layout: DataLayout) -> DatabaseLocator:
    if is_template(url) or not layout.credentials.exists():
        return DatabaseLocator(settings)
    return DatabaseLocator(settings, PostgresServer(url, Credentials(layout.credentials), ours=False))


def _away(settings: DataSettings, layout: DataLayout) -> str:
    data = settings.directory
    if data_version(layout.postgres) is None and layout.processes.exists():
        return (
            f"the fleet on {data} keeps its data on your own PostgreSQL server; "
            "set SOUK_POSTGRES to it, as for `souk up`"
        )
    if runs(data):
        return (
            f"PostgreSQL of the fleet on {data} does not take connections; `souk ps --data {data}` says how it is, "
            f"and `souk start postgres --data {data}` starts it if it was stopped"
        )
    return (
        f"the fleet on {data} does not run, and so neither do its databases; start it with "
        f"`souk up --topology fleet --data {data}`, and run this again"
    )
