"""The state of a fleet's identities, for operators: what signs, what is trusted, what is refused and what failed."""

from dataclasses import dataclass

from souk.mesh.identity.authority import CertificateAuthority, progress
from souk.mesh.identity.refusals import WorkloadRefusal
from souk.mesh.identity.rotation import CertificateSpan
from souk.mesh.identity.spiffe import Workload
from souk.mesh.identity.workload_certificates import RenewalFailure, WorkloadCertificates


@dataclass(frozen=True, slots=True)
class RootReport:
    """A trusted root, and whether it signs."""

    id: str
    span: CertificateSpan
    signs: bool


@dataclass(frozen=True, slots=True)
class WorkloadReport:
    """The certificate of a workload, if it has one, and why it has no newer one."""

    workload: Workload
    span: CertificateSpan | None
    root: str
    failure: RenewalFailure | None


@dataclass(frozen=True, slots=True)
class IdentityReport:
    """The state of all identities. Dates are in seconds since 1970; `rotation` is a sentence, `stage` its name."""

    trust_domain: str
    stage: str
    rotation: str
    roots: tuple[RootReport, ...]
    intermediate: CertificateSpan
    workloads: tuple[WorkloadReport, ...]
    refused: tuple[WorkloadRefusal, ...]
    failure: RenewalFailure | None


def identity_report(authority: CertificateAuthority, certificates: WorkloadCertificates) -> IdentityReport:
    """Makes the report of this moment. It reads nothing from the disk."""
    state = authority.rotation
    return IdentityReport(
        authority.trust_domain,
        state.stage.value,
        progress(state, authority.lifetimes),
        tuple(RootReport(root.id, root.span, root.id == state.signing.id) for root in state.trusted),
        state.intermediate.span,
        tuple(_reported(each, certificates) for each in sorted(certificates.wanted)),
        authority.refusals,
        certificates.failure,
    )


def _reported(workload: Workload, certificates: WorkloadCertificates) -> WorkloadReport:
    current = certificates.current(workload)
    return WorkloadReport(
        workload,
        current.span if current else None,
        current.root if current else "",
        certificates.failure_of(workload),
    )
