"""`souk rebuild`: makes a projection anew while the system serves, or compares it with what it is made from."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from soukapi.v1 import projections_pb2 as pb
from soukapi.v1 import projections_pb2_grpc

from souk.admin.client import operating_on
from souk.cli.group import example
from souk.cli.operating import DATA, PATIENCE, data_directory
from souk.cli.output.tables import show
from souk.cli.output.terminal import print_line

FAILED, STOPPED = 1, 130
COLUMNS = ("projection", "last rebuild", "done", "of", "ended")
RIGHT = frozenset({"done", "of"})
EVERY = 2.0
"""Seconds between two lines of progress where they are not shown on a terminal."""

T = TypeVar("T")


class ProgressLine:
    """Shows progress: on a terminal one line that changes, elsewhere a line now and then and for each new phase."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._shown, self._phase = float("-inf"), ""
        self._open = False

    def update(self, phase: str, text: str) -> None:
        """Shows the text, unless the one before is too recent."""
        now = time.monotonic()
        if self._terminal:
            click.echo(f"\r\x1b[K{text}", nl=False)
            self._open = True
        elif phase != self._phase or now - self._shown >= EVERY:
            print_line(text)
            self._shown, self._phase = now, phase

    def end(self) -> None:
        """Ends the line of a terminal, so that other text can follow."""
        if self._open:
            click.echo()
            self._open = False


@click.command(
    epilog=example(
        """
souk rebuild                              what can be made anew, and when it last was
souk rebuild order.read-model             makes it anew, or goes on where it stopped
souk rebuild order.read-model --check     what differs from the events; changes nothing
souk rebuild order.read-model --json | jq .progress.done
"""
    )
)
@click.argument("name", metavar="[NAME]", default="")
@click.option(
    "--check", is_flag=True, help="Compares only, and lists what differs; the exit status is 1 if anything does."
)
@click.option("--anew", is_flag=True, help="Begins from the start, where an earlier rebuild has stopped.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line.")
@DATA
def rebuild(name: str, check: bool, anew: bool, as_json: bool, data: Path | None) -> int:
    """Makes anew what a service keeps beside its own data, such as a read model, while the system serves.

    NAME is the service and the projection; the service alone will do if it has one. The old projection is used until
    the new one is complete; then all requests see the new one at once. Changes meanwhile are in both. The system must
    be running. Ctrl-C stops the rebuild; the same command goes on with it later. The same command elsewhere shows the
    progress of a rebuild that is running.
    """
    if (check or anew) and not name:
        raise click.UsageError("--check and --anew need the NAME of a projection; `souk rebuild` lists them.")
    if check and anew:
        raise click.UsageError("--check changes nothing, so --anew says nothing beside it.")
    if not name:
        return _ask(data, lambda stub: _list(stub, as_json))
    if check:
        return _ask(data, lambda stub: _check(stub, name, as_json))
    return _ask(data, lambda stub: _rebuild(stub, pb.RebuildProjectionRequest(name=name, anew=anew), as_json))


def _ask(data: Path | None, ask: "Callable[[projections_pb2_grpc.ProjectionsAsyncStub], Awaitable[T]]") -> T:
    async def asked() -> T:
        async with operating_on(data_directory(data)) as channel:
            return await ask(projections_pb2_grpc.ProjectionsStub(channel))

    return asyncio.run(asked())


async def _list(stub: "projections_pb2_grpc.ProjectionsAsyncStub", as_json: bool) -> int:
    found = await stub.ListProjections(pb.ListProjectionsRequest(), timeout=PATIENCE)
    if as_json:
        click.echo(json.dumps([_document(one) for one in found.projections], indent=2))
    elif found.projections:
        show(COLUMNS, [_row(one) for one in found.projections], RIGHT)
    else:
        click.echo("no service of this system has a projection")
    for name in found.silent:
        click.echo(f"souk: {name} does not answer", err=True)
    return FAILED if found.silent else 0


async def _rebuild(
    stub: "projections_pb2_grpc.ProjectionsAsyncStub", request: pb.RebuildProjectionRequest, as_json: bool
) -> int:
    line, began, last = ProgressLine(), time.monotonic(), pb.RebuildProjectionResponse()
    first: int | None = None
    try:
        async for last in stub.RebuildProjection(request):
            if as_json:
                print_line(json.dumps(_document(last)))
                continue
            first = last.progress.done if first is None else first
            line.update(last.progress.phase, _progress_text(last))
    except asyncio.CancelledError:
        line.end()
        click.echo(_stopped(request.name, last), err=True)
        raise
    finally:
        line.end()
    if not as_json:
        seconds = time.monotonic() - began
        count = last.progress.done - (first or 0)
        print_line(f"{last.name}: made anew in {seconds:.1f} s, {count:,} items in this run; it is in use now")
    return 0


async def _check(stub: "projections_pb2_grpc.ProjectionsAsyncStub", name: str, as_json: bool) -> int:
    line, differences, last = ProgressLine(), 0, pb.CheckProjectionResponse()
    try:
        async for last in stub.CheckProjection(pb.CheckProjectionRequest(name=name)):
            differences += len(last.differences)
            if as_json:
                print_line(json.dumps(_document(last)))
                continue
            if last.differences:
                line.end()
            for difference in last.differences:
                print_line(difference)
            line.update("check", f"{last.name}: compared {last.done:,} of {last.total:,}")
    finally:
        line.end()
    if not as_json:
        found = f"{differences:,} differ" if differences else "no difference"
        print_line(f"{last.name}: {last.done:,} compared, {found}")
    return FAILED if differences else 0


def _progress_text(message: pb.RebuildProjectionResponse) -> str:
    now = message.progress
    how = " (another command works on it)" if message.joined else " (goes on)" if message.resumed else ""
    return f"{message.name}: {now.phase}, {now.done:,} of {now.total:,}{how}"


def _stopped(name: str, last: pb.RebuildProjectionResponse) -> str:
    if not last.name:
        return f"stopped before it was heard of; if it began, `souk rebuild {name}` goes on with it"
    if last.joined:
        return f"{last.name}: another command goes on with it"
    now = last.progress
    return f"{last.name}: stopped at {now.done:,} of {now.total:,}; `souk rebuild {last.name}` goes on from there"


def _row(one: pb.Projection) -> dict[str, str]:
    if not one.HasField("last_rebuild"):
        return {"projection": one.name, "last rebuild": "none", "done": "", "of": "", "ended": ""}
    last = one.last_rebuild
    state = last.phase if last.running or last.phase == "done" else f"{last.phase} (stopped)"
    ended = last.ended_at.ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ") if last.HasField("ended_at") else ""
    return {
        "projection": one.name,
        "last rebuild": state,
        "done": f"{last.done:,}",
        "of": f"{last.total:,}",
        "ended": ended,
    }


def _document(message: Message) -> dict[str, Any]:
    """Gives a message as JSON, for programs, with whole numbers as numbers."""
    return {field.name: _plain(getattr(message, field.name)) for field, _ in message.ListFields()} | {
        field.name: getattr(message, field.name)
        for field in message.DESCRIPTOR.fields
        if field.message_type is None and not field.is_repeated
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, Message):
        return _document(value)
    return value if isinstance(value, str | int | bool) else list(value)
