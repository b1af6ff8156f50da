"""The authority on a data directory: what operators start, what clocks and disks do to it, and what outlasts it."""

import json
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509

from souk.kernel.errors import ConfigurationError
from souk.mesh.identity.authority import CertificateAuthority, WorkloadCertificate
from souk.mesh.identity.errors import CertificateRefused, CertificateUnavailable, RotationRefused
from souk.mesh.identity.report import identity_report
from souk.mesh.identity.rotation import RootStage
from souk.mesh.identity.spiffe import Workload
from souk.mesh.identity.store import FILE, FOLDER, AuthorityStore
from souk.mesh.identity.workload_certificates import WorkloadCertificates
from tests.crash.test_full_disk import small_disk
from tests.mesh.identity.fleet import ORDER, PAYMENT, SHORT, TICK, SetClock, authority, serve


def roots(fleet: CertificateAuthority) -> set[x509.Certificate]:
    return set(x509.load_pem_x509_certificates(fleet.bundle.encode()))


def verifies(certificate: WorkloadCertificate, fleet: CertificateAuthority) -> bool:
    """Whether the signatures of a chain lead to a root of the bundle."""
    leaf, intermediate = x509.load_pem_x509_certificates(certificate.chain.encode())
    leaf.verify_directly_issued_by(intermediate)
    for root in roots(fleet):
        if root.subject == intermediate.issuer:
            intermediate.verify_directly_issued_by(root)
            return True
    return False


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def served(tmp_path: Path, clock: SetClock) -> WorkloadCertificates:
    """The certificates of a fleet that has begun."""
    certificates = WorkloadCertificates(authority(tmp_path, clock))
    certificates.want([PAYMENT, ORDER])
    certificates.renew()
    return certificates


def test_a_second_start_goes_on_with_the_same_authority(tmp_path: Path, clock: SetClock) -> None:
    first = authority(tmp_path, clock)
    certificate = first.issue(PAYMENT)
    again = authority(tmp_path, clock)
    assert again.bundle == first.bundle
    assert verifies(certificate, again)
    file = tmp_path / FOLDER / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_certificate_is_renewed_at_half_its_life(served: WorkloadCertificates, clock: SetClock) -> None:
    before = served.current(PAYMENT)
    clock.advance(SHORT.leaf / 2 - 1)
    assert served.renew() == frozenset()
    clock.advance(1)
    assert served.renew() == {PAYMENT, ORDER}
    after = served.current(PAYMENT)
    assert before is not None
    assert after is not None
    assert after.key != before.key
    assert after.span.issued - before.span.issued == SHORT.leaf / 2


def test_a_rotation_by_an_operator(served: WorkloadCertificates, tmp_path: Path, clock: SetClock) -> None:
    fleet = served._authority
    (first,) = roots(fleet)
    serve(fleet, clock, SHORT.leaf)  # which does not count for the next root
    served.renew()
    fleet.rotate_root()
    assert len(roots(fleet)) == 2
    assert served.renew() == frozenset(), "the next root signs nothing yet"
    with pytest.raises(RotationRefused, match="the next root is trusted, and signs when"):
        fleet.rotate_root()
    serve(fleet, clock, SHORT.delay - TICK)
    assert served.renew() == frozenset()
    clock.advance(TICK)
    assert served.renew() == {PAYMENT, ORDER}, "all are renewed as soon as the next root signs"
    with pytest.raises(RotationRefused, match="the former one is trusted until"):
        authority(tmp_path, clock).rotate_root()
    for _ in range((SHORT.leaf + 2 * SHORT.skew) // TICK):
        clock.advance(TICK)
        assert first in roots(fleet)
        served.renew()
    (last,) = roots(fleet)
    assert last != first
    fleet.rotate_root()


def test_a_rotation_goes_on_after_a_restart_at_every_stage(tmp_path: Path, clock: SetClock) -> None:
    authority(tmp_path, clock).rotate_root()
    stages = []
    for _ in range(3):
        fleet = authority(tmp_path, clock)
        fleet.advance()
        stages.append(fleet.rotation.stage)
        serve(fleet, clock, SHORT.delay if len(stages) == 1 else SHORT.leaf + 2 * SHORT.skew)
    assert stages == [RootStage.INTRODUCED, RootStage.OVERLAP, RootStage.STEADY]


def test_time_while_nobody_serves_the_next_root_does_not_count(tmp_path: Path, clock: SetClock) -> None:
    authority(tmp_path, clock).rotate_root()
    clock.advance(10 * SHORT.delay)
    fleet = authority(tmp_path, clock)
    stages = []
    fleet.advance()
    clock.advance(10 * SHORT.delay)  # in which the process was stopped, as by SIGSTOP
    for _ in range(2):
        fleet.advance()
        stages.append(fleet.rotation.stage)
        serve(fleet, clock, SHORT.delay)
    assert stages == [RootStage.INTRODUCED, RootStage.OVERLAP]


def test_a_clock_that_jumps_does_not_hurry_a_rotation(tmp_path: Path, clock: SetClock) -> None:
    fleet = authority(tmp_path, clock)
    fleet.rotate_root()
    fleet.advance()
    clock.jump(10 * SHORT.delay)
    fleet.advance()
    assert fleet.rotation.stage is RootStage.INTRODUCED


@pytest.mark.parametrize("seconds", [SHORT.leaf + 1, SHORT.intermediate + 1, SHORT.root + 1, -150, -SHORT.root])
def test_after_a_clock_was_set_all_have_valid_certificates(
    served: WorkloadCertificates, clock: SetClock, seconds: float
) -> None:
    clock.jump(seconds)
    assert served.renew() == {PAYMENT, ORDER}
    current, fleet = served.current(PAYMENT), served._authority
    assert current is not None
    assert current.span.valid(fleet.now())
    assert verifies(current, fleet)
    for root in fleet.rotation.trusted:
        if root.id == current.root:
            assert root.span.valid(fleet.now())


def test_what_cannot_be_renewed_stays_until_it_expires_and_is_reported(
    served: WorkloadCertificates, tmp_path: Path, clock: SetClock
) -> None:
    fleet = served._authority
    _spoil(tmp_path)
    ends = fleet.rotation.intermediate.span.ends
    clock.advance(SHORT.intermediate / 2)
    served.renew()
    failure = served.failure
    assert failure is not None
    assert "the data directory" in failure.reason
    clock.advance(SHORT.intermediate / 2 - 1)
    served.renew()
    kept = served.current(PAYMENT)
    assert kept is not None
    assert kept.span.ends == ends, "it cannot outlive what signed it"
    assert kept.span.valid(fleet.now())
    assert served.renew() == frozenset(), "no other would last longer"
    clock.advance(1)
    assert served.renew() == {PAYMENT, ORDER}, "expired, so they have gone"
    report = identity_report(fleet, served)
    assert report.failure is not None
    assert report.failure.tries == 4
    assert [each.span for each in report.workloads] == [None, None]
    assert all("no signing certificate is valid" in (each.failure or failure).reason for each in report.workloads)
    _mend(tmp_path)
    assert served.renew() == {PAYMENT, ORDER}
    report = identity_report(fleet, served)
    assert report.failure is None
    assert [each.failure for each in report.workloads] == [None, None]


def test_certificates_are_issued_while_nothing_can_be_written(
    served: WorkloadCertificates, tmp_path: Path, clock: SetClock
) -> None:
    _spoil(tmp_path)
    clock.advance(SHORT.leaf / 2)
    assert served.renew() == {PAYMENT, ORDER}


def test_a_full_disk_stops_no_certificate_and_harms_nothing(tmp_path: Path, clock: SetClock) -> None:
    with small_disk(tmp_path / "disk", 256 * 1024) as disk:
        served = WorkloadCertificates(authority(disk, clock))
        served.want([PAYMENT, ORDER])
        served.renew()
        with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while ballast.write(bytes(4_096)):
                pass
        clock.advance(SHORT.intermediate / 2)
        assert served.renew() == {PAYMENT, ORDER}
        assert served.failure is not None
        assert "is full; free some space" in served.failure.reason
        assert authority(disk, clock).bundle == served._authority.bundle
        (disk / "ballast").unlink()
        served.renew()
        assert identity_report(served._authority, served).failure is None
        assert served._authority.rotation.intermediate.span.issued == served._authority.now()


def _spoil(data: Path) -> None:
    """Makes every write fail: what is to be written aside is a folder that cannot be removed."""
    (data / FOLDER / f".{FILE}.new" / "in the way").mkdir(parents=True)


def _mend(data: Path) -> None:
    (data / FOLDER / f".{FILE}.new" / "in the way").rmdir()
    (data / FOLDER / f".{FILE}.new").rmdir()


@pytest.mark.parametrize("harm", ["truncated", "key", "format"])
def test_a_damaged_file_is_refused_and_does_not_stop_a_running_authority(
    served: WorkloadCertificates, tmp_path: Path, clock: SetClock, harm: str
) -> None:
    file = tmp_path / FOLDER / FILE
    found = json.loads(file.read_text())
    if harm == "key":
        found["pairs"][found["rotation"]["signing"]["id"]]["key"] = "none"
    found["format"] = 2 if harm == "format" else 1
    file.write_text(json.dumps(found)[: 100 if harm == "truncated" else None])
    with pytest.raises(ConfigurationError, match=r"cannot be read .*bring it back from a backup"):
        authority(tmp_path, clock)
    clock.advance(SHORT.leaf / 2)
    assert served.renew() == {PAYMENT, ORDER}
    assert served.failure is not None


def test_a_file_that_has_gone_is_not_made_anew_in_a_running_system(
    served: WorkloadCertificates, tmp_path: Path, clock: SetClock
) -> None:
    before = roots(served._authority)
    (tmp_path / FOLDER / FILE).unlink()
    served.renew()
    assert served.failure is not None
    assert "has gone" in served.failure.reason
    assert roots(served._authority) == before
    assert not (tmp_path / FOLDER / FILE).exists()


def test_another_trust_domain_is_refused(tmp_path: Path, clock: SetClock) -> None:
    authority(tmp_path, clock)
    with pytest.raises(ConfigurationError, match=r"of the trust domain souk\.local, not shop\.example"):
        CertificateAuthority(AuthorityStore(tmp_path), SHORT, clock, "shop.example")


@pytest.mark.parametrize(("kind", "name"), [("service", "payment"), ("instance", "payment-1")])
def test_a_refused_workload_gets_no_certificate_any_more(
    served: WorkloadCertificates, tmp_path: Path, clock: SetClock, kind: str, name: str
) -> None:
    authority(tmp_path, clock).refuse(kind, name, "its machine was broken into")  # by another process
    with pytest.raises(CertificateRefused):
        served._authority.issue(PAYMENT)
    assert served.renew() == {PAYMENT}
    assert served.current(PAYMENT) is None
    assert served.current(ORDER) is not None
    failure = served.failure_of(PAYMENT)
    assert failure is not None
    assert failure.reason == f"the {kind} {name} is refused: its machine was broken into"
    again = authority(tmp_path, clock)
    with pytest.raises(CertificateRefused):
        again.issue(PAYMENT)
    assert again.denied.spiffe_ids == ({"spiffe://souk.local/service/payment"} if kind == "service" else set())
    assert again.denied.dns_names == ({"payment-1.souk.local"} if kind == "instance" else set())
    again.admit(kind, name)
    assert served.renew() == {PAYMENT}
    assert served.current(PAYMENT) is not None
    assert served._authority.denied.dns_names == frozenset()


def test_only_services_and_instances_are_refused(tmp_path: Path, clock: SetClock) -> None:
    fleet = authority(tmp_path, clock)
    for kind, name in (("machine", "payment-1"), ("service", "Payment/1")):
        with pytest.raises(ConfigurationError):
            fleet.refuse(kind, name, "because")
    assert fleet.refusals == ()


def test_another_instance_of_a_service_is_not_refused_with_the_first(tmp_path: Path, clock: SetClock) -> None:
    fleet = authority(tmp_path, clock)
    fleet.refuse("instance", "payment-1", "it behaves oddly")
    assert fleet.issue(Workload("payment", "payment-2"))


def test_a_workload_that_is_not_wanted_any_more_has_no_certificate(served: WorkloadCertificates) -> None:
    served.want([ORDER])
    assert served.renew() == {PAYMENT}
    assert served.current(PAYMENT) is None


def test_two_processes_rotate_one_root(tmp_path: Path, clock: SetClock) -> None:
    one, other = authority(tmp_path, clock), authority(tmp_path, clock)
    one.rotate_root()
    with pytest.raises(RotationRefused):
        other.rotate_root()
    for _ in range(100):
        clock.advance(TICK)
        one.advance()
        other.advance()
        assert verifies(one.issue(PAYMENT), other)
        assert verifies(other.issue(ORDER), one)
    assert one.bundle == other.bundle
    assert one.rotation.stage is RootStage.STEADY


def test_no_valid_signing_certificate_is_said(tmp_path: Path, clock: SetClock) -> None:
    fleet = authority(tmp_path, clock)
    clock.jump(SHORT.root + 1)
    with pytest.raises(CertificateUnavailable, match="see whether the clock is right"):
        fleet.issue(PAYMENT)


def test_the_file_has_no_keys_that_are_not_needed(tmp_path: Path, clock: SetClock) -> None:
    fleet = authority(tmp_path, clock)
    for _ in range(SHORT.root // TICK):
        clock.advance(TICK)
        fleet.advance()
    found = json.loads((tmp_path / FOLDER / FILE).read_text())
    assert len(found["pairs"]) <= 3
    assert [path.name for path in (tmp_path / FOLDER).iterdir() if not path.name.startswith(".")] == [FILE]
    assert os.access(tmp_path / FOLDER / FILE, os.R_OK)
