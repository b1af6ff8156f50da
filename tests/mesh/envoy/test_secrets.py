"""Secrets for Envoy hold the text of a certificate, and match names exactly or by the whole trust domain."""

from souk.mesh.envoy.resource import SECRET, resource
from souk.mesh.envoy.secrets import certificate_secret, roots_secret
from souk.mesh.identity.authority import WorkloadCertificate
from souk.mesh.identity.rotation import CertificateSpan
from souk.mesh.identity.spiffe import Workload

CERTIFICATE = WorkloadCertificate(
    Workload("payment", "payment-1"),
    "spiffe://souk.local/service/payment",
    CertificateSpan(2, 1, 3),
    "r",
    "LEAF, INTERMEDIATE",
    "KEY",
)


def test_a_certificate_is_inline_with_its_key() -> None:
    assert certificate_secret("own", CERTIFICATE) == {
        "@type": SECRET,
        "name": "own",
        "tls_certificate": {
            "certificate_chain": {"inline_string": "LEAF, INTERMEDIATE"},
            "private_key": {"inline_string": "KEY"},
        },
    }


def test_roots_alone_have_no_matcher_that_would_add_to_those_of_a_context() -> None:
    assert roots_secret("trusted", "ROOTS") == {
        "@type": SECRET,
        "name": "trusted",
        "validation_context": {"trusted_ca": {"inline_string": "ROOTS"}},
    }


def test_every_secret_is_a_resource_of_envoy() -> None:
    secrets = (
        certificate_secret("own", CERTIFICATE),
        roots_secret("trusted", "ROOTS"),
    )
    assert [resource(SECRET, each).name for each in secrets] == ["own", "trusted"]
