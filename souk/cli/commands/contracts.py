"""`souk openapi` and `souk asyncapi`: print what contracts say, for people and for programs."""

import json

import click

from souk.cli.group import example
from souk.descriptors.asyncapi.document import asyncapi_of
from souk.descriptors.contract import contract_of
from souk.descriptors.openapi.document import openapi_of
from souk.hosting.gateway_limits import rate_limits
from souk.kernel.clock import SystemClock
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment
from souk.runtime.service import speakers_of


@click.command(epilog=example("souk openapi > openapi.json"))
def openapi() -> None:
    """Prints the OpenAPI 3.1 document of the public API."""
    settings = from_environment()
    app, limits = entry_points.app(settings.app), rate_limits(settings, SystemClock())
    contracts = [contract_of(service.contract) for service in app.services]
    document = openapi_of(contracts, app.name.capitalize(), app.token_issuer.keys_method, limits.described)
    click.echo(json.dumps(document, indent=2))


@click.command(epilog=example("souk asyncapi > asyncapi.json"))
def asyncapi() -> None:
    """Prints the AsyncAPI 3.0 document of the events between services."""
    app = entry_points.app(from_environment().app)
    click.echo(json.dumps(asyncapi_of(speakers_of(app.services), app.name.capitalize()), indent=2))
