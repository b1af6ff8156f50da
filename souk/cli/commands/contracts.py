"""`souk routes`, `souk openapi` and `souk asyncapi`: print what contracts say, for people and for programs."""

import json
import re
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from souk.cli.group import example
from souk.descriptors.asyncapi.document import asyncapi_of
from souk.descriptors.contract import Access, Method, contract_of
from souk.descriptors.openapi.document import openapi_of
from souk.descriptors.protojson.names import lower_camel
from souk.hosting.gateway_limits import rate_limits
from souk.kernel.clock import SystemClock
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment
from souk.runtime.config.settings import Settings
from souk.runtime.service import App, speakers_of

_VARIABLE = re.compile(r"\{[^}]+\}")

COLUMNS = ("method", "path", "service", "who", "timeout", "limits")


@click.command(
    epilog=example(
        """
souk routes
souk routes --json | jq '.[] | select(.who == "anyone")'
"""
    )
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def routes(as_json: bool) -> None:
    """Lists every public route: who may call it, its time-out in seconds, and its rate limits."""
    settings = from_environment()
    rows = sorted(_routes(entry_points.app(settings.app), settings), key=lambda row: (row["path"], row["method"]))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(_table(rows))
    else:
        widths = {name: max(len(name), *(len(_text(row[name])) for row in rows)) for name in COLUMNS}
        for row in ({name: name for name in COLUMNS}, *rows):
            click.echo("  ".join(_text(row[name]).ljust(widths[name]) for name in COLUMNS).rstrip())


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


def _routes(app: App, settings: Settings) -> Iterator[dict[str, Any]]:
    limits = rate_limits(settings, SystemClock())
    for service in app.services:
        for method in contract_of(service.contract).methods.values():
            for rule in method.http:
                yield {
                    "method": rule.verb,
                    "path": _VARIABLE.sub(lambda found: lower_camel(found.group()), rule.path),
                    "service": service.name,
                    "who": who(method),
                    "timeout": method.policy.timeout,
                    "limits": [str(one["policy"]) for one in limits.described(method)],
                }


def who(method: Method) -> str:
    """Gives who may call a method: "anyone", "user", or the roles."""
    if method.policy.access is Access.ANYONE:
        return "anyone"
    return " or ".join(sorted(method.policy.roles)) or "user"


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold")
    for name in COLUMNS:
        table.add_column(name, no_wrap=name == "path", justify="right" if name == "timeout" else "left")
    for row in rows:
        table.add_row(*(_text(row[name]) for name in COLUMNS))
    return table
