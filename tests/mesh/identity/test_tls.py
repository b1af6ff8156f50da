"""Two workloads connect by TLS of Python's own OpenSSL: the right peer is accepted, and every other is refused."""

import ssl
from pathlib import Path

import pytest

from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.rotation import RootStage
from souk.mesh.identity.spiffe import TRUST_DOMAIN, Workload
from souk.testing.clocks import OtherMachine
from tests.mesh.identity.fleet import (
    ORDER,
    PAYMENT,
    Peer,
    Pipe,
    ServingClock,
    authority,
    handshake,
    trust_domain_secret,
)

REFUSED = (ssl.SSLCertVerificationError, ssl.SSLError)


@pytest.fixture
def fleet(tmp_path: Path) -> CertificateAuthority:
    return authority(tmp_path / "fleet", OtherMachine(0.0), Lifetimes())


def caller(fleet: CertificateAuthority, calls: str = "payment") -> Peer:
    return Peer.of(fleet.issue(ORDER), fleet.bundle, calls)


def callee(fleet: CertificateAuthority) -> Peer:
    """A sidecar that lets every workload of the trust domain connect."""
    return Peer(fleet.issue(PAYMENT), trust_domain_secret("peers", fleet.bundle, TRUST_DOMAIN))


def test_the_right_peers_accept_each_other(fleet: CertificateAuthority, tmp_path: Path) -> None:
    assert handshake(caller(fleet), callee(fleet), tmp_path) == b"hello"


def test_another_service_is_refused(fleet: CertificateAuthority, tmp_path: Path) -> None:
    with pytest.raises(REFUSED, match="no name matches"):
        handshake(caller(fleet, "inventory"), callee(fleet), tmp_path)


def test_a_service_whose_name_begins_alike_is_refused(fleet: CertificateAuthority, tmp_path: Path) -> None:
    longer = Peer.of(fleet.issue(Workload("payment-shadow", "payment-2")), fleet.bundle, "order")
    with pytest.raises(REFUSED, match="no name matches"):
        handshake(caller(fleet), longer, tmp_path)


@pytest.mark.parametrize("foreign", ["caller", "callee"])
def test_a_certificate_of_another_authority_is_refused(
    fleet: CertificateAuthority, tmp_path: Path, foreign: str
) -> None:
    other = authority(tmp_path / "other", OtherMachine(0.0), Lifetimes())
    client, server = caller(fleet), callee(fleet)
    if foreign == "caller":
        client = Peer.of(other.issue(ORDER), fleet.bundle, "payment")
    else:
        server = Peer(other.issue(PAYMENT), server.secret)
    with pytest.raises(REFUSED, match=r"(?i)certificate verify failed|unknown ca"):
        handshake(client, server, tmp_path)


@pytest.mark.parametrize(("ahead", "reason"), [(-3_600.0, "expired"), (3_600.0, "not yet valid")])
def test_what_is_not_valid_now_is_refused(tmp_path: Path, ahead: float, reason: str) -> None:
    other = authority(tmp_path / "fleet", OtherMachine(ahead), Lifetimes())
    with pytest.raises(REFUSED, match=reason):
        handshake(caller(other), callee(other), tmp_path)


def test_a_caller_without_a_certificate_is_refused(fleet: CertificateAuthority, tmp_path: Path) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.load_verify_locations(cadata=fleet.bundle)
    client = Pipe(bare, server=False)
    server = Pipe(callee(fleet).context(ssl.PROTOCOL_TLS_SERVER, tmp_path), server=True)
    with pytest.raises(ssl.SSLError, match=r"(?i)peer did not return a certificate"):
        for _ in range(4):
            client.step()
            server.incoming.write(client.outgoing.read())
            server.step()
            client.incoming.write(server.outgoing.read())


def test_plain_text_is_refused(fleet: CertificateAuthority, tmp_path: Path) -> None:
    server = Pipe(callee(fleet).context(ssl.PROTOCOL_TLS_SERVER, tmp_path), server=True)
    server.incoming.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    with pytest.raises(ssl.SSLError):
        server.step()


def test_peers_connect_at_every_stage_of_a_rotation(tmp_path: Path) -> None:
    """Also with a peer that has still the bundle and the certificate of the stage before."""
    clock, lifetimes = ServingClock(), Lifetimes()
    fleet = authority(tmp_path / "fleet", clock, lifetimes)
    stages = []
    late = callee(fleet)
    fleet.rotate_root()
    fleet.advance()
    for _ in range(2):
        stages.append(fleet.rotation.stage)
        assert handshake(caller(fleet), late, tmp_path) == b"hello"
        late = callee(fleet)
        for _ in range(4):
            clock.serve(lifetimes.delay / 4)
            fleet.advance()
    assert stages == [RootStage.INTRODUCED, RootStage.OVERLAP]
