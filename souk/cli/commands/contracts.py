"""`souk openapi` and `souk asyncapi`: print what contracts say, for people and for programs."""

import json
from pathlib import Path

import click

from souk.cli.group import example
from souk.descriptors.asyncapi.document import asyncapi_of
from souk.descriptors.contract import contract_of
from souk.gateway.openapi.document import document_of
from souk.gateway.routing.reading.document import load
from souk.hosting.gateway.limits import rate_limits
from souk.kernel.clock import SystemClock
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment
from souk.runtime.config.texts import help_of
from souk.runtime.service import speakers_of


@click.command(epilog=example("souk openapi > openapi.json\nsouk openapi --routes routes.yaml"))
@click.option("--routes", "file", type=click.Path(path_type=Path), help=help_of("routes"))
def openapi(file: Path | None) -> None:
    """Prints the OpenAPI 3.1 document of the public API, with the routes of a routes file."""
    settings = from_environment({"routes": file})
    app, path, limits = entry_points.app(settings.app), settings.http.routes, rate_limits(settings, SystemClock())
    contracts = [contract_of(service.contract) for service in app.services]
    routes = None if path is None else load(path)
    document = document_of(contracts, app.name.capitalize(), app.token_issuer, limits.described, routes)
    click.echo(json.dumps(document, indent=2))


@click.command(epilog=example("souk asyncapi > asyncapi.json"))
def asyncapi() -> None:
    """Prints the AsyncAPI 3.0 document of the events between services."""
    app = entry_points.app(from_environment().app)
    click.echo(json.dumps(asyncapi_of(speakers_of(app.services), app.name.capitalize()), indent=2))
