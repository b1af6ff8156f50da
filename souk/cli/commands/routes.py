"""`souk routes`: lists the routes of contracts and of a routes file, and says which takes a request, and why."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.table import Table
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.client import runs
from souk.cli.group import example
from souk.cli.operating import DATA, PATIENCE, operate
from souk.descriptors.contract import Access, Method, contract_of
from souk.descriptors.protojson.names import lower_camel
from souk.gateway.app import OWN_PATHS
from souk.gateway.http.problem import Problem
from souk.gateway.http.routes import Router
from souk.gateway.limits.limiter import RateLimits
from souk.gateway.routing.announcement import Announcement, with_applications
from souk.gateway.routing.explain import explain
from souk.gateway.routing.matching.asked import Asked
from souk.gateway.routing.model import HttpRoute, Match, PathType, RoutesFile, Rule
from souk.gateway.routing.rate_changes import changed_policies
from souk.gateway.routing.reading.document import load
from souk.gateway.routing.table import ContractRoute, RoutingTable
from souk.hosting.gateway.limits import rate_limits
from souk.kernel.clock import SystemClock
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment
from souk.runtime.config.texts import help_of
from souk.runtime.service import App

_VARIABLE = re.compile(r"\{[^}]+\}")
_REQUEST = re.compile(r"([A-Z]+)\s+(\S+)")
_PUBLIC = (Access.ANYONE, Access.CALLER)

COLUMNS = ("method", "path", "service", "who", "timeout", "limits")


@click.command(
    epilog=example(
        """
souk routes
souk routes --json | jq '.[] | select(.who == "anyone")'
souk routes --routes routes.yaml --explain 'GET /orders/7' -H 'version: two'
souk routes --check routes.yaml
"""
    )
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--routes", "file", type=click.Path(path_type=Path), help=help_of("routes"))
@click.option("--explain", metavar="'METHOD URL'", help="Says which route takes this request, and why no other.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of that request.")
@DATA
@click.option("--check", type=click.Path(path_type=Path), help="Says whether this routes file is right, and ends.")
def routes(
    as_json: bool,
    file: Path | None,
    explain: str | None,
    headers: tuple[str, ...],
    data: Path | None,
    check: Path | None,
) -> None:
    """Lists every public route: who may call it, its time-out in seconds, and its rate limits.

    The routes of contracts come with the services that are installed, those of a file from --routes or SOUK_ROUTES.
    If a system runs on the data directory, the applications that have joined it are listed, too.
    """
    settings = from_environment({"routes": check or file, "data": data})
    app, path = entry_points.app(settings.app), settings.http.routes
    read = None if path is None else load(path)
    if check is None and runs(settings.data.directory):
        read = with_applications(read, operate(settings.data.directory, _applications))
    table, limits = None if read is None else _table_of(app, read), rate_limits(settings, SystemClock())
    if table is not None:
        limits.use(changed_policies(table.file, limits.base))
    if check is not None and table is not None:
        rules = sum(len(route.rules) for route in table.file.routes)
        click.echo(f"{check} is right: {rules} rules, {len(table.file.upstreams)} upstreams")
    elif explain is not None:
        _explain(app, table or _table_of(app, RoutesFile("")), explain, headers)
    else:
        _list(
            [*_of_contracts(app, limits), *(() if table is None else _of_file(table))],
            as_json=as_json,
        )


async def _applications(fleet: "fleet_pb2_grpc.FleetAsyncStub") -> list[Announcement]:
    """Gives the applications that have joined the running system and have a route, each once."""
    listed = await fleet.ListProcesses(fleet_pb2.ListProcessesRequest(), timeout=PATIENCE)
    found = {
        Announcement(process.service, announced.prefix, announced.access, announced.rate_class)
        for process in listed.processes
        if (announced := process.application).routed
    }
    return sorted(found)


def _table_of(app: App, file: RoutesFile) -> RoutingTable[str]:
    return RoutingTable(file, _contract_routes(app), OWN_PATHS, _leads_to)


def _contract_routes(app: App) -> list[ContractRoute]:
    return [
        ContractRoute(rule.verb, rule.path)
        for service in app.services
        for method in contract_of(service.contract).methods.values()
        if method.policy.access in _PUBLIC
        for rule in method.http
    ]


def _leads_to(route: HttpRoute, rule: Rule) -> str:
    redirect = rule.filters.redirect
    if redirect is not None:
        return f"redirect {redirect.status}"
    weighted = len(rule.backends) > 1
    return ", ".join(f"{one.upstream}{f' x{one.weight}' if weighted else ''}" for one in rule.backends) or "nowhere"


def _explain(app: App, table: RoutingTable[str], request: str, headers: tuple[str, ...]) -> None:
    asked = _asked(request, headers)
    router: Router[ContractRoute] = Router()
    for own in table.own if table.file.routes else OWN_PATHS:
        router.add("GET", own, ContractRoute("GET", own))
    for one in table.contracts:
        router.add(one.method, one.path, one)
    found = explain(asked, table, router)
    click.echo(found.winner or "no route takes it")
    for title, lines in (("would come first, but:", found.better), ("also match, but come after:", found.after)):
        if lines:
            click.echo(title)
        for line in lines:
            click.echo(f"  {line}")
    if not found.winner:
        click.get_current_context().exit(1)


def _asked(request: str, headers: tuple[str, ...]) -> Asked:
    parts = _REQUEST.fullmatch(request.strip())
    if parts is None:
        raise click.BadParameter("is written as 'GET /path', or with a whole URL", param_hint="--explain")
    url = urlsplit(parts[2])
    pairs = [("host", url.netloc)] if url.netloc else []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon:
            raise click.BadParameter("is written as 'NAME: VALUE'", param_hint="-H")
        pairs.append((name.strip().lower(), value.strip()))
    raw = [(name.encode(), value.encode()) for name, value in pairs]
    try:
        return Asked(parts[1], url.path or "/", url.query.encode(), raw)
    except Problem as problem:
        raise click.BadParameter(f"is refused: {problem.detail}", param_hint="--explain") from None


def _list(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    rows.sort(key=lambda row: (row["path"], row["method"]))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(_shown(rows))
    else:
        widths = {name: max(len(name), *(len(_text(row[name])) for row in rows)) for name in COLUMNS}
        for row in ({name: name for name in COLUMNS}, *rows):
            click.echo("  ".join(_text(row[name]).ljust(widths[name]) for name in COLUMNS).rstrip())


def _of_contracts(app: App, limits: RateLimits) -> Iterator[dict[str, Any]]:
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


def _of_file(table: RoutingTable[str]) -> Iterator[dict[str, Any]]:
    for one in table.index:
        yield {
            "method": one.match.method or "*",
            "path": one.hostname + _path(one.match),
            "service": one.target,
            "who": "anyone" if one.rule.access is Access.ANYONE else "user",
            "timeout": "" if one.rule.timeouts.request is None else one.rule.timeouts.request,
            "limits": [],
        }


def _path(match: Match) -> str:
    path = match.path
    shown = f"{path.prefix}/*" if path.type is PathType.PREFIX else path.value
    wanted = [f"{one.name}: {one.value}" for one in match.headers] + [f"{one.name}={one.value}" for one in match.query]
    conditions = f" ({', '.join(wanted)})" if wanted else ""
    return f"{'~' if path.type is PathType.REGEX else ''}{shown}{conditions}"


def who(method: Method) -> str:
    """Gives who may call a method: "anyone", "user", or the roles."""
    if method.policy.access is Access.ANYONE:
        return "anyone"
    return " or ".join(sorted(method.policy.roles)) or "user"


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _shown(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold")
    for name in COLUMNS:
        table.add_column(name, no_wrap=name == "path", justify="right" if name == "timeout" else "left")
    for row in rows:
        table.add_row(*(_text(row[name]) for name in COLUMNS))
    return table
