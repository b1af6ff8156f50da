"""Certificates are what the X.509-SVID specification asks for, and OpenSSL holds them to their constraints."""

import subprocess
from collections import deque
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from souk.kernel.errors import ConfigurationError
from souk.mesh.identity.authority import WorkloadCertificate
from souk.mesh.identity.certificates import KeyPair, load_key_pair, make_intermediate, make_leaf, make_root
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.rotation import CertificateSpan, RootStage
from souk.mesh.identity.spiffe import TRUST_DOMAIN, Workload, checked_trust_domain
from tests.mesh.identity.fleet import PAYMENT, SHORT, TICK, SetClock, authority

END = "-----END CERTIFICATE-----\n"
NOW = 1_800_000_000
SPAN = CertificateSpan(NOW, NOW - 60, NOW + 600)


@pytest.fixture
def issued(tmp_path: Path) -> tuple[WorkloadCertificate, x509.Certificate]:
    """The certificate of `payment-1`, and the root of its chain."""
    found = authority(tmp_path, SetClock())
    return found.issue(PAYMENT), x509.load_pem_x509_certificate(found.bundle.encode())


def chain_of(certificate: WorkloadCertificate) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(certificate.chain.encode())


def verified(folder: Path, at: int, roots: str, chain: list[str], purpose: str = "sslserver") -> str:
    """What OpenSSL says of a chain at a date; empty when it verifies."""
    names = ("roots.pem", "leaf.pem", "between.pem")
    for name, content in zip(names, (roots, chain[0], "".join(chain[1:])), strict=True):
        (folder / name).write_text(content)
    arguments = ("-attime", str(at), "-purpose", purpose, "-x509_strict", "-CAfile", "roots.pem")
    done = subprocess.run(
        ["openssl", "verify", "-no-CApath", "-no-CAstore", *arguments, "-untrusted", "between.pem", "leaf.pem"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr


def test_a_leaf_is_an_svid(issued: tuple[WorkloadCertificate, x509.Certificate]) -> None:
    leaf = chain_of(issued[0])[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://souk.local/service/payment"]
    assert names.value.get_values_for_type(x509.DNSName) == ["payment-1.souk.local"]
    assert names.critical
    assert not list(leaf.subject)
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not usage.value.crl_sign
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {each.dotted_string for each in purposes} == {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}


def test_signing_certificates_are_constrained(issued: tuple[WorkloadCertificate, x509.Certificate]) -> None:
    _, intermediate = chain_of(issued[0])
    for certificate, below in ((issued[1], 1), (intermediate, 0)):
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, below)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (True, True, False)
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        assert constraints.critical
        assert [each.value for each in constraints.value.permitted_subtrees or ()] == [TRUST_DOMAIN, TRUST_DOMAIN]
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"spiffe://{TRUST_DOMAIN}"]
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert isinstance(key.curve, ec.SECP256R1)


def test_a_leaf_is_valid_a_little_before_and_until_its_end(
    issued: tuple[WorkloadCertificate, x509.Certificate], tmp_path: Path
) -> None:
    certificate, root = issued
    chain = [KeyPair(each, ec.generate_private_key(ec.SECP256R1())).pem for each in chain_of(certificate)]
    roots = KeyPair(root, ec.generate_private_key(ec.SECP256R1())).pem
    span = certificate.span
    assert (span.issued - span.begins, span.ends - span.issued) == (SHORT.skew, SHORT.leaf)
    for purpose in ("sslserver", "sslclient"):
        assert verified(tmp_path, span.begins, roots, chain, purpose) == ""
        assert verified(tmp_path, span.ends - 1, roots, chain, purpose) == ""
    assert "not yet valid" in verified(tmp_path, span.begins - 1, roots, chain)
    assert "expired" in verified(tmp_path, span.ends + 1, roots, chain)


def test_a_stolen_intermediate_cannot_leave_the_trust_domain(tmp_path: Path) -> None:
    root = make_root(TRUST_DOMAIN, "r", SPAN)
    stolen = make_intermediate(TRUST_DOMAIN, "i", SPAN, root)

    def outcome(uri: str, dns: str) -> str:
        leaf = make_leaf(uri, dns, SPAN, stolen)
        return verified(tmp_path, NOW, root.pem, [leaf.pem, stolen.pem])

    assert outcome("spiffe://souk.local/service/order", "order-1.souk.local") == ""
    assert "permitted subtree violation" in outcome("spiffe://elsewhere.local/service/order", "order-1.souk.local")
    assert "permitted subtree violation" in outcome("spiffe://souk.local/service/order", "www.example.com")


def test_an_intermediate_signs_no_authority(tmp_path: Path) -> None:
    root = make_root(TRUST_DOMAIN, "r", SPAN)
    stolen = make_intermediate(TRUST_DOMAIN, "i", SPAN, root)
    below = make_intermediate(TRUST_DOMAIN, "b", SPAN, stolen)
    leaf = make_leaf("spiffe://souk.local/service/order", "order-1.souk.local", SPAN, below)
    assert "path length" in verified(tmp_path, NOW, root.pem, [leaf.pem, below.pem, stolen.pem])


def test_certificates_of_late_peers_verify_all_through_a_rotation(tmp_path: Path) -> None:
    """Each has what was served up to one delay ago; OpenSSL judges by the date of the authority's clock."""
    clock = SetClock()
    fleet = authority(tmp_path / "fleet", clock)
    served: deque[tuple[str, WorkloadCertificate]] = deque(maxlen=SHORT.delay // TICK + 1)
    stages = set()
    fleet.rotate_root()
    for number in range((SHORT.delay + SHORT.leaf + 2 * SHORT.skew) // TICK + 10):
        fleet.advance()
        served.append((fleet.bundle, fleet.issue(PAYMENT)))
        stages.add(fleet.rotation.stage)
        if number % 3:
            clock.advance(TICK)
            continue
        for _, certificate in (served[0], served[-1]):
            for trusted, _ in (served[0], served[-1]):
                chain = [f"{begun}{END}" for begun in certificate.chain.split(END)[:-1]]
                assert verified(tmp_path, fleet.now(), trusted, chain) == ""
        clock.advance(TICK)
    assert stages == set(RootStage)


def test_a_key_of_another_certificate_is_refused() -> None:
    one, other = make_root(TRUST_DOMAIN, "1", SPAN), make_root(TRUST_DOMAIN, "2", SPAN)
    assert load_key_pair(one.pem, one.key_pem).certificate == one.certificate
    with pytest.raises(ValueError, match="the key of another"):
        load_key_pair(one.pem, other.key_pem)


@pytest.mark.parametrize("name", ["", "a/b", "A", "a b", "..", "-a", "a" * 64, "a\0"])
def test_names_that_a_certificate_cannot_carry_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be in a certificate"):
        Workload(name, "payment-1")
    with pytest.raises(ConfigurationError, match="cannot be in a certificate"):
        Workload("payment", name)
    with pytest.raises(ConfigurationError, match="not a trust domain"):
        checked_trust_domain(f"{name}.local")


def test_lifetimes_in_which_something_could_expire_in_use_are_refused() -> None:
    for wrong in ({"leaf": 100}, {"intermediate": 1_000}, {"root": 700_000}, {"backdated": 1}, {"delay": 0}):
        with pytest.raises(ConfigurationError):
            Lifetimes(**wrong)


def test_no_key_is_shown(issued: tuple[WorkloadCertificate, x509.Certificate]) -> None:
    assert "PRIVATE" not in repr(issued[0])
    assert "PRIVATE" not in repr(make_root(TRUST_DOMAIN, "r", SPAN))


@pytest.mark.parametrize(("life", "delay", "skew"), [(8, 2, 0), (20, 5, 2), (600, 60, 60), (3600, 60, 60)])
def test_the_times_around_a_certificate_follow_from_how_long_it_lives(life: float, delay: int, skew: int) -> None:
    found = Lifetimes.of(life)
    assert (found.leaf, found.delay, found.skew) == (life, delay, skew)
    assert found.checked_every <= delay / 4, "the time that it is served counts only if it is looked at so often"


def test_a_life_that_is_too_short_to_renew_in_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"at least, not 7\.9: set SOUK_MESH_CERTIFICATE_LIFE"):
        Lifetimes.of(7.9)
