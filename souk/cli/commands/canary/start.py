"""`souk canary start`: begins a canary."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from soukapi.v1 import canary_pb2 as pb
from soukapi.v1 import canary_pb2_grpc

from souk.admin.parked_filter import user
from souk.cli.commands.canary.asking import JSON, PATIENCE, ask_canaries, echo
from souk.cli.deciding import AGE
from souk.cli.group import example
from souk.cli.operating import DATA

DEFAULT_STEPS = "1,5,25,50,100"


class NamedValue(click.ParamType[tuple[str, str]]):
    """The type of an option NAME=VALUE."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Parses the text of an option, as click calls it."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not name or not equals:
            self.fail(f"{value!r} must read NAME=VALUE", param, ctx)
        return name, text


class Steps(click.ParamType[tuple[float, ...]]):
    """The type of an option such as 1,5,25."""

    name = "percent,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Parses the text of an option, as click calls it."""
        try:
            return tuple(float(part.strip().removesuffix("%")) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} must read like {DEFAULT_STEPS}: percent of the calls", param, ctx)


@click.command(
    epilog=example(
        """
souk canary start payment --version v2
souk canary start payment --version v2 --steps 5,50 --every 1m --abort-on 'failures>0.5%' --abort-on 'p99>300ms'
souk canary start payment --version v2 --set SOUK_PAYMENT_BANK=http://127.0.0.1:9900 --instances 2
souk canary start payment --version go --run './payment-go' --mirror --header x-tester=1
"""
    )
)
@click.argument("service")
@click.option("--version", required=True, help="The name of the version.")
@click.option("--run", metavar="COMMAND", default="", help="What runs it, if not what runs the baseline.")
@click.option("--set", "settings", type=NamedValue(), multiple=True, metavar="NAME=VALUE", help="A setting of it.")
@click.option("--instances", type=click.IntRange(1, 50), default=1, show_default=True, help="How many of it.")
@click.option("--steps", type=Steps(), default=DEFAULT_STEPS, show_default=True, help="Its shares, in percent.")
@click.option("--every", type=AGE, default="30s", show_default=True, help="How long a step takes at least.")
@click.option(
    "--abort-on", "rules", multiple=True, metavar="RULE", help="Rolls it back [default: failures>1% and p99>1.5x]"
)
@click.option("--min-calls", type=click.IntRange(1), default=100, show_default=True, help="That a step needs.")
@click.option(
    "--header", type=NamedValue(), metavar="NAME=VALUE", help="Requests with it meet the version: x-tester=NAME."
)
@click.option("--user", "subject", default="", metavar="ID", help="This user's requests meet the version.")
@click.option("--mirror", is_flag=True, help="First gives it copies of the calls that the contract calls safe.")
@DATA
@JSON
def start(
    service: str,
    settings: Sequence[tuple[str, str]],
    header: tuple[str, str] | None,
    subject: str,
    mirror: bool,
    min_calls: int,
    data: Path | None,
    as_json: bool,
    **plan: Any,
) -> None:
    """Releases a version of SERVICE to a growing share of its calls.

    It is judged beside the version that is there, the baseline, over the same time: each second, by a test that stays
    valid however often it is asked. A rule reads `failures>1%`, `failures>1.5x` (times the baseline's), `p99>300ms` or
    `p99>1.5x`; failures are what the contract calls so, not refusals. When one is breached, a saga is parked or an
    invariant is broken, every call goes back to the baseline. With too few calls it holds. After its last step it takes
    the place of the baseline.
    """
    name, value = header or ("", "")
    request = pb.StartCanaryRequest(operator=user())
    request.plan.CopyFrom(
        pb.CanaryPlan(
            service=service, settings=dict(settings), header=name, header_value=value, user=subject, mirrored=mirror,
            least_calls=min_calls, **plan,
        )
    )  # fmt: skip

    async def ask(canaries: "canary_pb2_grpc.CanariesAsyncStub") -> pb.StartCanaryResponse:
        return await canaries.StartCanary(request, timeout=PATIENCE)

    echo(ask_canaries(data, ask).canary, as_json=as_json)
    if not as_json:
        click.echo(f"`souk canary status {service}` shows every decision with its figures")
