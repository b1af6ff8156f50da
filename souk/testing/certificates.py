"""A certificate authority for tests; its certificates and keys are PEM files in a folder."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from souk.kernel.addresses import LOOPBACK

_LOOPBACK = (x509.IPAddress(ipaddress.ip_address(LOOPBACK)), x509.DNSName("localhost"))
# etcd's JSON gateway presents the server's own certificate as a client.
_BOTH_SIDES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


class Authority:
    """Signs certificates; `ca` is the file with the authority's own certificate."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _called(f"tests {name}")
        signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        certificate = (
            _about(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(signs, True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = self._file(f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, moved: datetime.timedelta = datetime.timedelta(), uri: str = "") -> tuple[Path, Path]:
        """Issues a certificate for loopback, the host of that name, and a URI; returns its file and that of its key.

        It is valid from an hour ago until tomorrow, `moved` by so much.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [*_LOOPBACK, x509.DNSName(name)]
        if uri:
            names.append(x509.UniformResourceIdentifier(uri))
        certificate = (
            _about(_called(name), self._name, key.public_key(), moved)
            .add_extension(x509.SubjectAlternativeName(names), False)
            .add_extension(_BOTH_SIDES, False)
            .sign(self._key, hashes.SHA256())
        )
        encoded = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        cert = self._file(f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))
        return cert, self._file(f"{name}-key.pem", encoded)

    def _file(self, name: str, octets: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(octets)
        return path


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _about(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    moved: datetime.timedelta = datetime.timedelta(),
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC) + moved
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
