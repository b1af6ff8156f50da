"""`souk canary status`: where canaries stand, and every decision about them with its figures."""

import json
from pathlib import Path

import click
from soukapi.v1 import canary_pb2 as pb
from soukapi.v1 import canary_pb2_grpc

from souk.admin.canaries.documents import canary_document
from souk.cli.commands.canary.asking import JSON, PATIENCE, ask_canaries, lines
from souk.cli.group import example
from souk.cli.operating import DATA


@click.command(
    epilog=example(
        """
souk canary status
souk canary status payment
souk canary status payment --json | jq '.[0].decisions[-1]'
"""
    )
)
@click.argument("service", required=False, default="")
@DATA
@JSON
def status(service: str, data: Path | None, as_json: bool) -> None:
    """Shows the last canary of each service, or that of SERVICE alone.

    For its present step: the calls of both versions, how many failed, and the 99th percentile of their durations; for
    each rule, the share of calls that failed or were slow, and how much of the evidence for a breach there is. Then
    every decision.
    """

    async def ask(canaries: "canary_pb2_grpc.CanariesAsyncStub") -> pb.ListCanariesResponse:
        return await canaries.ListCanaries(pb.ListCanariesRequest(service=service), timeout=PATIENCE)

    found = ask_canaries(data, ask).canaries
    if as_json:
        click.echo(json.dumps([canary_document(one) for one in found], indent=2))
        return
    if not found:
        which = f"{service} has no canary" if service else "no service has a canary"
        click.echo(f"{which}; begin one with `souk canary start {service or 'SERVICE'} --version VERSION`")
    for number, one in enumerate(found):
        for line in ([""] if number else []) + list(lines(one)):
            click.echo(line)
