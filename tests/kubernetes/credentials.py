"""The certificates and tokens of a control plane for tests."""

import datetime
import ipaddress
import secrets
import ssl
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from souk.kernel.addresses import LOOPBACK

ADMIN = "admin"
CONTROLLERS = "system:kube-controller-manager"
SCHEDULER = "system:kube-scheduler"
_ADMINISTRATORS = "system:masters"
_FOR = datetime.timedelta(days=1)


class Credentials:
    """A certificate for loopback that signs itself, and a token for each user, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        self.certificate, self.key, self.tokens = (folder / name for name in ("tls.crt", "tls.key", "tokens.csv"))
        self.authority = self.certificate
        self._make_certificate()
        self._tokens = {user: secrets.token_urlsafe(32) for user in (ADMIN, CONTROLLERS, SCHEDULER)}
        groups = {ADMIN: f',"{_ADMINISTRATORS}"'}
        lines = (f"{token},{user},{user}{groups.get(user, '')}\n" for user, token in self._tokens.items())
        self.tokens.write_text("".join(lines))

    @property
    def trust(self) -> ssl.SSLContext:
        """Trusts the API server, and nobody else."""
        return ssl.create_default_context(cafile=str(self.authority))

    def token_of(self, user: str) -> str:
        """Gives the token of a user."""
        return self._tokens[user]

    def reach(self, url: str) -> None:
        """Writes the file by which each user finds the API server."""
        for user, token in self._tokens.items():
            cluster = {"server": url, "certificate-authority": str(self.authority)}
            document = {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": user, "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
                "current-context": "test",
            }
            self.kubeconfig(user).write_text(yaml.safe_dump(document))

    def kubeconfig(self, user: str) -> Path:
        """Gives the path of a user's file."""
        return self._folder / f"{user.replace(':', '-')}.yaml"

    def _make_certificate(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
        now = datetime.datetime.now(datetime.UTC)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            key_encipherment=True,
            **dict.fromkeys(
                (
                    *("content_commitment", "data_encipherment", "key_agreement", "crl_sign"),
                    *("encipher_only", "decipher_only"),
                ),
                False,
            ),
        )
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - _FOR, now + _FOR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(names, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
