"""`souk mesh status`: the sidecars of the running fleet, its policy, certificates and roots, and who is refused."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from soukapi.v1 import mesh_pb2 as pb
from soukapi.v1 import mesh_pb2_grpc

from souk.cli.commands.mesh.operating import FAILED, operate_mesh, rejection_line
from souk.cli.commands.ps import duration
from souk.cli.group import example
from souk.cli.operating import DATA, PATIENCE
from souk.cli.output.tables import Row, show

COLUMNS = ("instance", "state", "since", "has", "rejected", "certificate", "note")
RIGHT = frozenset({"since", "rejected"})
_TYPES = {
    "Cluster": "clusters", "ClusterLoadAssignment": "endpoints", "Listener": "listeners",
    "RouteConfiguration": "routes", "Secret": "secrets",
}  # fmt: skip


@click.command(
    epilog=example(
        """
souk mesh status
souk mesh status --json | jq '.sidecars[] | select(.rejected != [])'
souk mesh status --json | jq '.roots'
"""
    )
)
@DATA
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def status(data: Path | None, as_json: bool) -> int:
    """Shows the mesh of the running fleet.

    For each sidecar: whether it is connected to the control plane, and since when; how many resources of each type it
    has taken; what it has rejected, with Envoy's reason; and when its certificate expires. Then the policy, the roots,
    and who is refused. The exit status is 1 if something was rejected, or cannot be renewed, or if the registry has not
    answered about a service since the control plane's start.
    """

    async def ask(mesh: "mesh_pb2_grpc.MeshAsyncStub") -> pb.GetMeshStatusResponse:
        return await mesh.GetMeshStatus(pb.GetMeshStatusRequest(), timeout=PATIENCE)

    found = operate_mesh(data, ask)
    if as_json:
        document = MessageToDict(found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        click.echo(json.dumps(document, indent=2))
    else:
        show(COLUMNS, [row(one, time.time()) for one in found.sidecars], RIGHT)
        for line in (*_below(found, time.time()), *_problems(found)):
            click.echo(line)
    return FAILED if any(True for _ in _problems(found)) else 0


def row(sidecar: pb.MeshSidecar, now: float) -> Row:
    """Gives the cells of a sidecar's row, for people; `now` is in seconds since 1970."""
    waiting = sorted(_TYPES.get(one.type, one.type) for one in sidecar.taken if one.waiting)
    return {
        "instance": sidecar.instance,
        "state": "connected" if sidecar.connected else "not connected",
        "since": duration(max(0.0, now - seconds(sidecar.since))),
        "has": ", ".join(f"{one.count} {_TYPES.get(one.type, one.type)}" for one in sidecar.taken if one.count),
        "rejected": str(len(sidecar.rejected)),
        "certificate": _expiry(sidecar.certificate.expires, now) if sidecar.HasField("certificate") else "none",
        "note": f"waits for {', '.join(waiting)}" if sidecar.connected and waiting else "",
    }


def seconds(date: Timestamp) -> float:
    """Gives a date in seconds since 1970."""
    return date.ToMicroseconds() / 1e6


def _expiry(date: Timestamp, now: float) -> str:
    left = seconds(date) - now
    return f"expires in {duration(left)}" if left > 0 else f"expired {duration(-left)} ago"


def _below(found: pb.GetMeshStatusResponse, now: float) -> Iterator[str]:
    policy = found.policy
    yield f"policy {policy.revision} ({policy.file or 'the defaults'}), for {duration(now - seconds(policy.since))}"
    roots = (f"{one.id} {'signs' if one.signs else 'trusted'}, {_expiry(one.expires, now)}" for one in found.roots)
    yield f"trust domain {found.trust_domain}: {found.rotation} ({found.stage}); {'; '.join(roots)}"
    yield f"intermediate {_expiry(found.intermediate_expires, now)}"
    for one in found.refused:
        since = duration(max(0.0, now - seconds(one.since)))
        yield f"refused for {since}: {one.service or one.instance}: {one.why}"


def _problems(found: pb.GetMeshStatusResponse) -> Iterator[str]:
    rejected = found.policy.rejected
    if rejected.errors or rejected.resources:
        what = f"policy {rejected.revision}" if rejected.revision else "its file"
        yield f"rejected: {what}; policy {found.policy.revision} is in force"
        yield from rejected.errors
        yield from map(rejection_line, rejected.resources)
    refused = {one.service or one.instance for one in found.refused}
    for sidecar in found.sidecars:
        yield from map(rejection_line, sidecar.rejected)
        if sidecar.HasField("problem") and refused.isdisjoint((sidecar.service, sidecar.instance)):
            yield _unrenewed(f"the certificate of {sidecar.instance}", sidecar.problem)
    if found.unanswered:
        services = ", ".join(found.unanswered)
        yield f"the registry has not answered yet: what sidecars have of the instances of {services} stays as it was"
    if found.HasField("problem"):
        yield _unrenewed("the authority", found.problem)


def _unrenewed(what: str, problem: pb.RenewalProblem) -> str:
    return f"{what} cannot be renewed, for {duration(time.time() - seconds(problem.since))}: {problem.reason}"
