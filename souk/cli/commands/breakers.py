"""`souk breakers`: lists the circuit breakers of the running system, and sets their modes."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.documents import breaker_document, breaker_state
from souk.admin.parked_filter import user
from souk.cli.commands.ps import duration
from souk.cli.group import example
from souk.cli.operating import DATA, PATIENCE, operate
from souk.cli.output.tables import Row, show
from souk.kernel.errors import ConfigurationError

FAILED = 1
COLUMNS = ("process", "caller", "callee", "state", "failed", "calls", "refused", "since", "until")
RIGHT = frozenset({"failed", "calls", "refused", "since", "until"})
MODES = {
    "open": fleet_pb2.BREAKER_MODE_FORCED_OPEN,
    "closed": fleet_pb2.BREAKER_MODE_CLOSED,
    "disabled": fleet_pb2.BREAKER_MODE_DISABLED,
    "metrics-only": fleet_pb2.BREAKER_MODE_METRICS_ONLY,
    "auto": fleet_pb2.BREAKER_MODE_AUTO,
}


class Force(click.ParamType[tuple[str, str]]):
    """The type of an argument CALLEE=MODE."""

    name = "callee=mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Parses the text of an argument, as click calls it."""
        if isinstance(value, tuple):
            return value
        callee, _, mode = str(value).partition("=")
        if not callee or mode not in MODES:
            self.fail(f"{value!r} must read CALLEE=MODE, MODE one of {', '.join(MODES)}", param, ctx)
        return callee, mode


@click.command(
    epilog=example(
        """
souk breakers                                   all of them
souk breakers --caller order                    those of one caller
souk breakers --force payment=open              nobody calls Payment any more
souk breakers --force payment=auto              they are automatic again
souk breakers --json | jq '.[] | select(.state != "closed")'
"""
    )
)
@DATA
@click.option("--caller", metavar="SERVICE", default="", help="Only breakers of calls that this service makes.")
@click.option("--force", type=Force(), multiple=True, metavar="CALLEE=MODE", help="Sets the breakers around CALLEE.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def breakers(data: Path | None, caller: str, force: Sequence[tuple[str, str]], as_json: bool) -> int:
    """Shows the circuit breakers of every process, or sets them.

    MODE is `open` (refuses every call), `disabled` (lets all through, and watches nothing), `metrics-only`
    (watches, and never opens), `closed` (closes now, forgets what it saw, and watches), or `auto` (undoes the first
    three). It also applies to processes that start later, until the system stops. `failed` is the share of the recent
    `calls` that failed, once there are enough of them.
    """

    async def do(fleet: "fleet_pb2_grpc.FleetAsyncStub") -> tuple[list[fleet_pb2.BreakerStatus], Sequence[str]]:
        if not force:
            found = await fleet.ListBreakers(fleet_pb2.ListBreakersRequest(), timeout=PATIENCE)
            chosen = [one for one in found.breakers if caller in {"", one.caller}]
            if found.breakers and not (chosen or as_json):
                callers = ", ".join(sorted({one.caller for one in found.breakers}))
                raise ConfigurationError(f"no breaker guards calls of {caller!r}; the callers are {callers}")
            return chosen, found.silent
        changed: list[fleet_pb2.BreakerStatus] = []
        silent: set[str] = set()
        for callee, mode in force:
            request = fleet_pb2.SetBreakerRequest(callee=callee, caller=caller, mode=MODES[mode], operator=user())
            answer = await fleet.SetBreaker(request, timeout=PATIENCE)
            changed += answer.breakers
            silent |= set(answer.silent)
        return changed, sorted(silent)

    found, silent = operate(data, do)
    _print(found, as_json)
    for name in silent:
        click.echo(
            f"souk: {name} does not answer" + ("; the change applies as soon as it does" if force else ""), err=True
        )
    return FAILED if silent else 0


def _print(found: Sequence[fleet_pb2.BreakerStatus], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([breaker_document(one) for one in found], indent=2))
    elif found:
        show(COLUMNS, [row(one, time.time()) for one in found], RIGHT)
    else:
        click.echo("no breaker yet: each is made with the first call")


def row(breaker: fleet_pb2.BreakerStatus, now: float) -> Row:
    """Gives the cells of a breaker's row, for people; `now` is in seconds since 1970."""
    rate = f"{breaker.failure_rate:.0%}" if breaker.HasField("failure_rate") else "-"
    return {
        "process": breaker.process,
        "caller": breaker.caller,
        "callee": _guarded(breaker),
        "state": breaker_state(breaker),
        "failed": rate,
        "calls": str(breaker.calls),
        "refused": str(breaker.refused),
        "since": duration(max(0.0, now - breaker.since.ToNanoseconds() / 1e9)),
        "until": _until(breaker, now),
    }


def _until(breaker: fleet_pb2.BreakerStatus, now: float) -> str:
    if not breaker.HasField("until"):
        return ""
    left = breaker.until.ToNanoseconds() / 1e9 - now
    return f"in {duration(left)}" if left > 0 else "next call"


def _guarded(breaker: fleet_pb2.BreakerStatus) -> str:
    method = f"/{breaker.method}" if breaker.method else ""
    return f"{breaker.callee}{method}"
