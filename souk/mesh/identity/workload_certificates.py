"""The certificates in use: one for each workload, renewed at half its life, or when its root does not sign any more."""

from collections.abc import Iterable
from dataclasses import dataclass

from souk.kernel.errors import SoukError
from souk.mesh.identity.authority import CertificateAuthority, WorkloadCertificate
from souk.mesh.identity.rotation import leaf_is_due
from souk.mesh.identity.spiffe import Workload
from souk.telemetry.logs import logger

_log = logger("mesh")


@dataclass(frozen=True, slots=True)
class RenewalFailure:
    """Why something cannot be renewed, since a date in seconds since 1970, and how often it was tried."""

    reason: str
    since: int
    tries: int = 1


class WorkloadCertificates:
    """The certificates that the control plane serves. Call `renew` every few seconds, in a thread."""

    def __init__(self, authority: CertificateAuthority) -> None:
        self._authority = authority
        self._wanted: frozenset[Workload] = frozenset()
        self._current: dict[Workload, WorkloadCertificate] = {}
        self._failures: dict[Workload | None, RenewalFailure] = {}

    @property
    def failure(self) -> RenewalFailure | None:
        """Why the authority itself cannot go on: with its intermediate, or with the rotation of its root."""
        return self._failures.get(None)

    def failure_of(self, workload: Workload) -> RenewalFailure | None:
        """Why a workload has no new certificate."""
        return self._failures.get(workload)

    @property
    def wanted(self) -> frozenset[Workload]:
        """The workloads that are to have a certificate."""
        return self._wanted

    def current(self, workload: Workload) -> WorkloadCertificate | None:
        """Gives the certificate of a workload; None if it has none, or none that has not expired."""
        return self._current.get(workload)

    def want(self, workloads: Iterable[Workload]) -> None:
        """Sets which workloads are to have a certificate; the next `renew` issues them."""
        self._wanted = frozenset(workloads)

    def renew(self) -> frozenset[Workload]:
        """Advances the authority and renews what is due; returns the workloads whose certificate changed or has gone.

        What cannot be renewed stays until it expires, and the failure is kept for operators.
        """
        try:
            self._authority.advance()
            self._failures.pop(None, None)
        except SoukError as error:
            self._failed(None, error)
        return self._forget_unwanted() | {each for each in sorted(self._wanted) if self._renewed(each)}

    def _forget_unwanted(self) -> frozenset[Workload]:
        gone = self._current.keys() - self._wanted
        self._current = {each: kept for each, kept in self._current.items() if each in self._wanted}
        self._failures = {each: kept for each, kept in self._failures.items() if each is None or each in self._wanted}
        return frozenset(gone)

    def _renewed(self, workload: Workload) -> bool:
        """Renews one certificate if it is due; tells whether it changed or has gone."""
        authority, old = self._authority, self._current.get(workload)
        now, refused = authority.now(), authority.refusal_of(workload) is not None
        if old and not refused and not leaf_is_due(old.span, old.root, authority.rotation, now, authority.lifetimes):
            return False
        try:
            self._current[workload] = authority.issue(workload)
        except SoukError as error:
            self._failed(workload, error)
            if refused or (old and now >= old.span.ends):
                return self._current.pop(workload, None) is not None
            return False
        self._failures.pop(workload, None)
        return True

    def _failed(self, workload: Workload | None, error: SoukError) -> None:
        before = self._failures.get(workload)
        if before is not None and before.reason == str(error):
            self._failures[workload] = RenewalFailure(before.reason, before.since, before.tries + 1)
            return
        self._failures[workload] = RenewalFailure(str(error), self._authority.now())
        _log.error(
            "a certificate cannot be renewed",
            workload=workload.instance if workload else "the authority",
            reason=str(error),
        )
