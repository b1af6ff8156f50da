"""The state of a mesh as messages of `soukapi.v1.Mesh`."""

from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp
from soukapi.v1 import mesh_pb2 as pb

from souk.mesh.control_plane import ControlPlane
from souk.mesh.exchanges import PolicyRejection
from souk.mesh.identity.refusals import SERVICE
from souk.mesh.identity.report import IdentityReport, WorkloadReport
from souk.mesh.identity.workload_certificates import RenewalFailure
from souk.mesh.operations.policy_file import PolicyFile, RefusedPolicy


def status_message(plane: ControlPlane, file: PolicyFile) -> pb.GetMeshStatusResponse:
    """Makes the state of this moment."""
    report = plane.identities()
    response = pb.GetMeshStatusResponse(
        trust_domain=report.trust_domain, policy=_policy(plane, file), stage=report.stage, rotation=report.rotation,
        intermediate_expires=at_second(report.intermediate.ends), problem=_problem(report.failure),
        unanswered=plane.unknown,
    )  # fmt: skip
    reports = {one.workload.instance: one for one in report.workloads}
    for instance, workload in sorted(plane.workloads.items()):
        response.sidecars.append(_sidecar(plane, workload.service, instance, reports.get(instance)))
    for root in report.roots:
        response.roots.add(id=root.id, expires=at_second(root.span.ends), signs=root.signs)
    response.refused.extend(_refused(report))
    return response


def rejected(found: Iterable[PolicyRejection]) -> list[pb.RejectedResource]:
    """Makes the messages about rejected resources."""
    return [
        pb.RejectedResource(
            instance=one.node, type=_short(one.type_url), name=one.rejection.name,
            version=one.rejection.version or "", error=one.rejection.error, revision=one.revision,
            at=_at(one.at) if one.at else None,
        )
        for one in found
    ]  # fmt: skip


def at_second(seconds: int) -> Timestamp:
    """Makes a date of seconds since 1970."""
    return Timestamp(seconds=seconds)


def _at(microseconds: int) -> Timestamp:
    made = Timestamp()
    made.FromMicroseconds(microseconds)
    return made


def _policy(plane: ControlPlane, file: PolicyFile) -> pb.MeshPolicyStatus:
    policy = pb.MeshPolicyStatus(
        revision=plane.policy.revision, file=str(file.in_force or ""), since=_at(plane.policy.since)
    )
    if file.refused is not None:
        policy.rejected.CopyFrom(_refused_policy(file.refused))
    return policy


def _refused_policy(refused: RefusedPolicy) -> pb.RejectedMeshPolicy:
    return pb.RejectedMeshPolicy(
        revision=refused.revision, at=_at(refused.at), errors=refused.errors, resources=rejected(refused.rejections)
    )


def _sidecar(plane: ControlPlane, service: str, instance: str, report: WorkloadReport | None) -> pb.MeshSidecar:
    connection = plane.exchanges.connection(instance)
    made = pb.MeshSidecar(
        service=service, instance=instance, connected=connection.connected, since=_at(connection.since)
    )
    for type_url, taken in plane.server.acknowledgements(instance).items():
        made.taken.add(type=_short(type_url), count=len(taken.held), waiting=taken.waiting)
        made.rejected.extend(rejected(plane.exchanges.about(instance, type_url, one) for one in taken.rejections))
    if report is not None and report.span is not None:
        made.certificate.CopyFrom(
            pb.MeshCertificate(
                issued=at_second(report.span.issued), expires=at_second(report.span.ends), root=report.root
            )
        )
    if report is not None and report.failure is not None:
        made.problem.CopyFrom(_renewal(report.failure))
    return made


def _problem(failure: RenewalFailure | None) -> pb.RenewalProblem | None:
    return None if failure is None else _renewal(failure)


def _renewal(failure: RenewalFailure) -> pb.RenewalProblem:
    return pb.RenewalProblem(reason=failure.reason, since=at_second(failure.since), tries=failure.tries)


def _refused(report: IdentityReport) -> list[pb.RefusedWorkload]:
    made = []
    for one in report.refused:
        service, instance = (one.name, "") if one.kind == SERVICE else ("", one.name)
        made.append(pb.RefusedWorkload(service=service, instance=instance, since=at_second(one.since), why=one.reason))
    return made


def _short(type_url: str) -> str:
    return type_url.rpartition(".")[2]
