"""Makes certificates as the X.509-SVID specification asks: EC P-256, constrained to one trust domain.

Signing certificates are critically constrained to URIs of the trust domain and to DNS names below it; below an
intermediate there are only leaves. A leaf has no subject, so that its names are critical.
"""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from souk.kernel.clock import MICROSECONDS, to_datetime
from souk.mesh.identity.rotation import CertificateSpan
from souk.mesh.identity.spiffe import trust_domain_id

_BOTH_SIDES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> str:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The private key as PEM, not encrypted."""
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def load_key_pair(certificate: str, key: str) -> KeyPair:
    """Reads a certificate and its key. Raises ValueError when they cannot be read or do not belong together."""
    loaded = x509.load_pem_x509_certificate(certificate.encode())
    private = serialization.load_pem_private_key(key.encode(), None)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or loaded.public_key() != private.public_key():
        raise ValueError("a certificate has the key of another")
    return KeyPair(loaded, private)


def make_root(trust_domain: str, identity: str, span: CertificateSpan) -> KeyPair:
    """Makes a root, which signs itself; `identity` is in its name, so that no two roots have the same."""
    key, name = _new_key(), _called(f"root {identity}")
    builder = _signing(_about(name, name, key, span), trust_domain, below=1)
    return _signed(builder, key, key)


def make_intermediate(trust_domain: str, identity: str, span: CertificateSpan, root: KeyPair) -> KeyPair:
    """Makes an intermediate, which a root signs."""
    key = _new_key()
    about = _about(_called(f"intermediate {identity}"), root.certificate.subject, key, span)
    return _signed(_signing(about, trust_domain, below=0), root.key, key)


def make_leaf(spiffe_id: str, dns_name: str, span: CertificateSpan, intermediate: KeyPair) -> KeyPair:
    """Makes a certificate of a workload, with one URI and one DNS name, for servers and for clients."""
    key = _new_key()
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id), x509.DNSName(dns_name)])
    builder = (
        _about(x509.Name([]), intermediate.certificate.subject, key, span)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(_BOTH_SIDES, critical=False)
        .add_extension(names, critical=True)
    )
    return _signed(builder, intermediate.key, key)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _called(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Souk"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


def _about(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, span: CertificateSpan
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(to_datetime(span.begins * MICROSECONDS))
        .not_valid_after(to_datetime(span.ends * MICROSECONDS))
    )


def _signing(builder: x509.CertificateBuilder, trust_domain: str, below: int) -> x509.CertificateBuilder:
    """Adds what a signing certificate has; `below` is how many signing certificates may follow it in a chain."""
    permitted = [x509.UniformResourceIdentifier(trust_domain), x509.DNSName(trust_domain)]
    itself = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(trust_domain_id(trust_domain))])
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(itself, critical=False)
    )


def _signed(
    builder: x509.CertificateBuilder,
    by: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
) -> KeyPair:
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    ).add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    return KeyPair(builder.sign(by, hashes.SHA256()), key)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
