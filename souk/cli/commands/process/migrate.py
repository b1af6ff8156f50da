"""`souk migrate`: brings the databases of services to this program's schema, or waits until somebody has."""

import asyncio
from collections.abc import Sequence

import click

from souk.cli.group import example
from souk.cli.output.terminal import print_line
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment
from souk.runtime.config.settings import DataSettings
from souk.runtime.data.databases import require_a_database_each
from souk.runtime.data.schema import bring_up, lacking, wait_for
from souk.runtime.service import Service

FAILED = 1


@click.command(
    epilog=example(
        """
SOUK_POSTGRES=@/run/secrets/postgres-url souk migrate order
souk migrate                          every service of the app that has a database
souk migrate order --check            what the database lacks; changes nothing
souk migrate order --wait 300         returns once another program has migrated
"""
    )
)
@click.argument("services", metavar="[SERVICE]...", nargs=-1)
@click.option("--check", is_flag=True, help="Only lists what is missing; the exit status is 1 if anything is.")
@click.option(
    "--wait", type=click.FloatRange(0), metavar="SECONDS", help="Changes nothing, and waits until nothing is missing."
)
def migrate(services: Sequence[str], check: bool, wait: float | None) -> int:
    """Brings the databases of services on PostgreSQL to the schema of this program, and serves nothing.

    A service also does that when it starts: this is for systems in which many processes start at once, and for
    scripts. Several at once do no harm: one migrates, and the others find nothing to do. A database that is newer
    than this program is refused.
    """
    if check and wait is not None:
        raise click.UsageError("--check answers at once, so --wait says nothing beside it.")
    settings = from_environment({}).data
    if settings.postgres is None:
        raise ConfigurationError("souk migrate needs SOUK_POSTGRES; a system with files migrates them when it starts")
    found = _chosen(services)
    require_a_database_each(found, settings)
    return asyncio.run(_done(found, settings, check, wait))


def _chosen(names: Sequence[str]) -> list[Service]:
    if not names:
        return [service for service in entry_points.app().services if service.migrations is not None]
    found = [entry_points.service(name) for name in names]
    for service in found:
        if service.migrations is None:
            raise ConfigurationError(f"{service.name} has no database, and so no migrations")
    return found


async def _done(services: Sequence[Service], settings: DataSettings, check: bool, wait: float | None) -> int:
    status = 0
    for service in services:
        if wait is not None:
            await wait_for(service, settings, wait, SystemClock(), print_line)
            print_line(f"{service.name}: nothing is missing")
        elif check:
            missing = await lacking(service, settings)
            print_line(f"{service.name}: " + (f"lacks {', '.join(missing)}" if missing else "nothing is missing"))
            status = FAILED if missing else status
        else:
            print_line(f"{service.name}: {await bring_up(service, settings)} migrations were applied")
    return status
