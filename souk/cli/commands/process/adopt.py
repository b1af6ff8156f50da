"""`souk adopt`: puts an existing ASGI application behind the gateway of a running system."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from souk.cli.group import example
from souk.cli.output.terminal import print_line, start_logging
from souk.discovery.registry import is_name
from souk.gateway.routing.announcement import ANYONE, CALLER, RATE_CLASSES, Announcement
from souk.hosting.adopted.application import imported
from souk.hosting.adopted_process import Adopted, adopted_process, registry_of
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.environment import from_environment
from souk.runtime.config.settings import ListenSettings, Settings
from souk.runtime.config.texts import help_of
from souk.runtime.process.signals import StopSignals, run


@click.command(
    epilog=example(
        """
souk adopt reviews.main:app                       http://127.0.0.1:8080/reviews is its own
souk adopt mysite.asgi:application --name site --prefix /
souk adopt reviews.main:app --access caller       only with a valid token
souk adopt reviews.main:app --no-route            only by a routes file: {service: reviews}
"""
    )
)
@click.argument("application", metavar="MODULE:APP")
@click.option("--name", help="Its name as a service [default: the first part of MODULE]")
@click.option("--prefix", help="The path that is its own, with all below it [default: /NAME]")
@click.option("--route/--no-route", default=True, help="Whether the gateway makes a route to it [default: yes]")
@click.option("--access", type=click.Choice([ANYONE, CALLER]), default=ANYONE, help="Who may send requests there.")
@click.option("--rate-class", type=click.Choice(RATE_CLASSES), help="The rate limits that hold there [default: none]")
@click.option("--data", type=click.Path(path_type=Path), help="The data directory of the system [default: var/souk]")
@click.option("--port", type=click.IntRange(0, 65_535), help="A TCP port to listen on; without it, a private socket.")
@click.option("--metrics-port", type=click.IntRange(0, 65_535), help=help_of("metrics_port"))
@click.option("--json", "as_json", is_flag=True, help="Prints the address as one line of JSON.")
def adopt(
    application: str,
    name: str | None,
    prefix: str | None,
    route: bool,
    access: str,
    rate_class: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Puts an ASGI application behind the gateway of the running system, until Ctrl-C or SIGTERM.

    MODULE:APP is an application of FastAPI, Starlette, Django or another framework. It runs unchanged, in this process,
    as a service: discovered, balanced, and guarded by a breaker. Run the command again for a second process of it.

    Requests for /NAME reach it as they are, with /NAME as their root path. It reads who calls in the headers
    x-souk-user-id, x-souk-roles and x-souk-scopes, which only the gateway can write: see docs/adopt.md.
    """
    settings = from_environment(flags, defaults=Settings(listen=ListenSettings(port=0)))
    start_logging(settings.log)
    service = _name(application, name)
    announcement = Announcement(service, _prefix(service, prefix), access, rate_class or "", route)
    registry = registry_of(settings)
    adopted = Adopted(imported(application, Path.cwd()), application, announcement)

    async def life(is_up: asyncio.Event, stop: StopSignals) -> None:
        async with adopted_process(adopted, settings, SystemClock(), registry) as address:
            is_up.set()
            ready = {"ready": service, "address": address}
            print_line(json.dumps(ready) if as_json else f"ready {service} {address}")
            click.echo(_hint(announcement), err=True)
            await stop.wait()

    run(life)


def _name(application: str, given: str | None) -> str:
    name = application.partition(":")[0].partition(".")[0].replace("_", "-") if given is None else given
    if not is_name(name):
        raise ConfigurationError(f"{name!r} is no name of a service; choose letters, digits and dashes with --name")
    return name


def _prefix(name: str, given: str | None) -> str:
    prefix = f"/{name}" if given is None else given
    if not prefix.startswith("/") or "//" in prefix or any(one in prefix for one in "{}?#% "):
        raise ConfigurationError(f"a prefix is a path, as in /{name}, and not {prefix!r}")
    return prefix.rstrip("/") or "/"


def _hint(announcement: Announcement) -> str:
    if announcement.routed:
        return f"the gateway has a route to it: {announcement.prefix}"
    name, prefix = announcement.service, announcement.prefix
    return f"a routes file leads to it: upstreams: {{{name}: {{service: {name}}}}}, routes: {{{prefix}: {name}}}"
