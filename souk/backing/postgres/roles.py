"""Makes a database and a role for each service, on a PostgreSQL server of which we have an administrator's URL.

Only its own role may connect to a service's database.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from souk.backing.credentials import Credentials
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.parsers import postgres_server
from souk.runtime.config.settings import SERVICE_PLACEHOLDER

PREFIX = "souk_"
"""Begins the names of databases and roles: `user` and `order` alone would have to be quoted in every statement."""
_UNREADABLE = "--postgres: the driver cannot read this URL"
PATIENCE = 10.0


def is_template(url: str) -> bool:
    """Tells whether a URL is a template of each service's database's URL, rather than an administrator's URL."""
    return SERVICE_PLACEHOLDER in url


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """The server at an administrator's `url`; `ours` if it is the fleet's own, and not one that others use as well.

    `made` are the statements that undo what `provide` has made.
    """

    url: str = field(repr=False)
    credentials: Credentials
    ours: bool
    made: list[str] = field(default_factory=list, repr=False, compare=False)

    def service_url(self, service: str) -> str:
        """Gives the URL of a service's database, with the service's role and password."""
        role = PREFIX + service
        parts = urlsplit(self.url)
        server = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{role}:{self.credentials.password(role)}@{server}", path=f"/{role}").geturl()

    async def provide(self, services: Sequence[str]) -> int:
        """Makes the roles and databases of `services` that are missing; returns the server's limit of connections.

        Raises ConfigurationError, in one line and without a password, when that fails.
        """
        driver = _driver()
        connection = await self._connect(driver)
        try:
            for service in services:
                await self._provide(connection, PREFIX + service)
            return int(await connection.fetchval("SHOW max_connections"))
        except driver.InsufficientPrivilegeError:
            raise ConfigurationError(
                f"--postgres: {urlsplit(self.url).username!r} may not make roles and databases; give a user who may, "
                f"or the URL of databases that are there, with {SERVICE_PLACEHOLDER} for the service's name"
            ) from None
        except driver.PostgresError as error:
            raise ConfigurationError(f"PostgreSQL: {_line(error)}") from error
        finally:
            await connection.close(timeout=PATIENCE)

    async def withdraw(self) -> None:
        """Removes the roles and databases that `provide` has made, and nothing else.

        Raises ConfigurationError, in one line and without a password, when that fails.
        """
        driver = _driver()
        connection = await self._connect(driver)
        try:
            while self.made:
                await connection.execute(self.made.pop())
        except driver.PostgresError as error:
            raise ConfigurationError(f"PostgreSQL: {_line(error)}") from error
        finally:
            await connection.close(timeout=PATIENCE)

    async def _connect(self, driver: Any) -> Any:
        try:
            return await driver.connect(self.url, timeout=PATIENCE, target_session_attrs="read-write")
        except driver.ClientConfigurationError:  # an InterfaceError; its text may quote the URL
            raise ConfigurationError(_UNREADABLE) from None
        except (OSError, TimeoutError, driver.PostgresError, driver.InterfaceError) as error:
            raise ConfigurationError(f"PostgreSQL on {postgres_server(self.url)}: {_line(error)}") from None
        except driver.TargetServerAttributeNotMatched:
            raise ConfigurationError(
                f"PostgreSQL on {postgres_server(self.url)} is read-only; name the primary, or all hosts"
            ) from None
        except ValueError:
            # The driver's message quotes the URL, and so its password.
            raise ConfigurationError(_UNREADABLE) from None

    async def _provide(self, connection: Any, name: str) -> None:
        """Makes a role, and a database of the same name that it owns, unless they exist."""
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name):
            await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{self.credentials.password(name)}'")
            self.made.append(f"DROP ROLE {name}")
        elif name not in self.credentials:
            raise ConfigurationError(
                f"PostgreSQL on {postgres_server(self.url)} has a role {name} already, and its password is not known "
                f"here; give the data directory that it was made from, or a URL with {SERVICE_PLACEHOLDER} in it"
            )
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await self._make_database(connection, name)
        await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")

    async def _make_database(self, connection: Any, name: str) -> None:
        if not self.ours:
            # A user who is not a superuser can give a database only to a role of which the user is a member.
            await connection.execute(f"GRANT {name} TO CURRENT_USER")
        await connection.execute(f"CREATE DATABASE {name} OWNER {name}")
        self.made.append(f"DROP DATABASE {name} WITH (FORCE)")


def _driver() -> Any:
    try:
        return importlib.import_module("asyncpg")
    except ModuleNotFoundError:
        raise ConfigurationError(
            "a fleet needs the driver asyncpg, which is not installed: pip install 'souk-platform[fleet]'"
        ) from None


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
