"""`souk logs`: what all processes of a system wrote, as one log."""

import sys
from pathlib import Path
from typing import Any, TypeAlias

import click
import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.client import runs
from souk.admin.logs.records import LEVELS, LogRecord, stamp_of
from souk.admin.logs.search import NamedLog, logs_below, search_logs
from souk.admin.servicers.fleet import filter_of
from souk.cli.group import example
from souk.cli.moment import Moment
from souk.cli.operating import DATA, data_directory, operate
from souk.cli.output.terminal import print_line
from souk.kernel.errors import ConfigurationError, InvalidArgument
from souk.runtime.data.layout import DataLayout

_Fleet: TypeAlias = "fleet_pb2_grpc.FleetAsyncStub"
_COLOURS = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan", "bright_green", "bright_blue")
MOST = 100_000


@click.command(
    epilog=example(
        """
souk logs                                  the last 100 lines of all processes
souk logs order --level warning            of one service, warnings and errors
souk logs order-2 -f                       one process, and what it writes from now on
souk logs --trace 0af7651916cd43dd8448eb211c80319c
souk logs --order ORD-01JD --since 2h      what names an order, and the traces it was in
souk logs --grep timeout --json | jq -c 'select(.level == "error")'
"""
    )
)
@click.argument("name", metavar="[SERVICE|INSTANCE]", default="")
@click.option("-f", "--follow", is_flag=True, help="Keeps printing new lines until Ctrl-C.")
@click.option(
    *("-n", "--lines"), type=click.IntRange(0, MOST), default=100, show_default=True, help="How many lines at most."
)
@click.option("--trace", "trace_id", default="", metavar="ID", help="Of this trace.")
@click.option(
    *("--order", "--about", "about"),
    default="",
    metavar="ID",
    help="That name this order, or anything else by its id, and all of a trace of which a line names it.",
)
@click.option("--level", type=click.Choice(LEVELS), default=None, help="Of this level and above.")
@click.option("--since", type=Moment(), default=None, metavar="TIME", help="Written since: 10m, 2h, 7d or a date.")
@click.option("--until", type=Moment(), default=None, metavar="TIME", help="Written until then.")
@click.option("--grep", "text", default="", metavar="TEXT", help="With this text, in capitals or not.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each line.")
@DATA
def logs(name: str, follow: bool, lines: int, data: Path | None, as_json: bool, **wanted: Any) -> None:
    """Prints what the processes of a system wrote, sorted by time: all of them, or those of one service.

    Rotated files are searched as well, and those of processes that run no more; also while the system is stopped.
    A line without a time belongs to the line before it.
    """
    request = _request(wanted, service=name, lines=lines, follow=follow)
    directory = data_directory(data)
    found = logs_below(DataLayout(directory.resolve()).logs)
    if found and not follow and not runs(directory):
        _print_stopped(found, request, as_json)
        return

    async def do(fleet: _Fleet) -> None:
        async for one in fleet.ReadLogs(request):
            if one.more:
                _say_more()
            else:
                _print(one.instance, one.line, as_json)

    operate(directory, do)


def _request(wanted: dict[str, Any], **given: Any) -> fleet_pb2.ReadLogsRequest:
    for name in ("since", "until"):
        moment = wanted.pop(name)
        if moment is not None:
            wanted[name] = Timestamp()
            wanted[name].FromMicroseconds(moment)
    wanted["trace_id"] = wanted["trace_id"].lower()
    request = fleet_pb2.ReadLogsRequest(**given, **{name: value for name, value in wanted.items() if value})
    try:
        filter_of(request)
    except InvalidArgument as error:
        raise click.UsageError(f"--trace {error.violations[0].detail}") from error
    return request


def _print_stopped(found: list[NamedLog], request: fleet_pb2.ReadLogsRequest, as_json: bool) -> None:
    """Searches the files of a system that does not run."""
    of = request.service
    chosen = [one for one in found if of in ("", one[0], one[0].rpartition("-")[0])]
    if not chosen:
        raise ConfigurationError(f"no log of {of!r}; the system does not run, and has logs of {_names(found)}")
    search = search_logs(chosen, filter_of(request), request.lines)
    if search.more:
        _say_more()
    for record in search.records:
        _print(record.instance, record.line, as_json)


def _names(found: list[NamedLog]) -> str:
    return ", ".join(name for name, _ in found)


def _say_more() -> None:
    click.echo("souk: older lines match as well, and are left out; -n shows more", err=True)


def _print(instance: str, line: str, as_json: bool) -> None:
    if as_json:
        print_line(orjson.dumps(_record(instance, line).fields(), default=str).decode())
    else:
        prefix = f"{instance} |"
        if sys.stdout.isatty():
            prefix = click.style(prefix, fg=_COLOURS[sum(instance.encode()) % len(_COLOURS)])
        print_line(f"{prefix} {line}")


def _record(instance: str, line: str) -> LogRecord:
    stamp = stamp_of(line.encode())
    return LogRecord(instance, line, stamp.at if stamp else 0, stamp.level if stamp else "info")
