"""`souk canary promote`, `pause`, `resume` and `abort`."""

from pathlib import Path

import click
from soukapi.v1 import canary_pb2 as pb
from soukapi.v1 import canary_pb2_grpc

from souk.admin.parked_filter import user
from souk.cli.commands.canary.asking import JSON, PATIENCE, ask_canaries, echo
from souk.cli.group import example
from souk.cli.operating import DATA

HELP = {
    "promote": """Makes the version the baseline now, without the steps that are left. Its instances replace those that
    are there.""",
    "pause": """Keeps the version at its share until it is resumed. It is judged all the same: a breach rolls it
    back.""",
    "resume": """Lets a paused canary go on, with its step from the beginning.""",
    "abort": """Gives every call to the baseline at once, and stops the version.""",
}


def command(action: str) -> click.Command:
    """Makes the command of one action."""

    def run(service: str, why: str, data: Path | None, as_json: bool) -> None:
        request = pb.SteerCanaryRequest(service=service, action=action, operator=user(), why=why)

        async def ask(canaries: "canary_pb2_grpc.CanariesAsyncStub") -> pb.SteerCanaryResponse:
            return await canaries.SteerCanary(request, timeout=PATIENCE)

        echo(ask_canaries(data, ask).canary, as_json=as_json)

    made = DATA(JSON(run))
    made = click.option("--why", default="", metavar="TEXT", help="Why: it is kept with the decision.")(made)
    made = click.argument("service")(made)
    text = " ".join(HELP[action].split())
    shown = f"souk canary {action} payment\nsouk canary {action} payment --why 'ticket 4711' --json"
    return click.command(action, help=text, short_help=text.partition(".")[0] + ".", epilog=example(shown))(made)
