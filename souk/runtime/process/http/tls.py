"""TLS at an HTTP port: its certificate, read again when the files change, HTTP/2 by agreement (ALPN), and the
certificates of clients, if they are asked for.
"""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.x509 import load_der_x509_certificate

from souk.kernel.errors import ConfigurationError
from souk.telemetry.logs import logger

_PROTOCOLS = ("h2", "http/1.1")

_log = logger("http")


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """PEM files: the certificate of the server, with its chain, and its private key.

    With `client_ca`, the certificates of authorities, clients are asked for a certificate that one of them has signed.
    One without is let in unless `client_required`; one with another certificate never is.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None
    client_required: bool = False

    @property
    def all(self) -> tuple[Path, ...]:
        """The files."""
        return (self.cert, self.key) if self.client_ca is None else (self.cert, self.key, self.client_ca)


class ServerTls:
    """TLS of one port. Raises ConfigurationError, in one line, for files that cannot be used.

    `context` stays the same object: what is loaded into it holds for the connections that are made from then on.
    """

    def __init__(self, files: ServerCertificate) -> None:
        self._files = files
        self._loaded_stamp = self._stamp()
        self.context = self._new()

    def renew(self) -> None:
        """Loads the files if they have changed. Those that cannot be used are logged, and the old ones stay."""
        try:
            stamp = self._stamp()
            if stamp == self._loaded_stamp:
                return
            self._loaded_stamp = stamp
            self._new()  # a context into which loading failed may have a certificate without a key
            self._load(self.context)
        except ConfigurationError as error:
            _log.error("the new certificate is not used; the old one stays", error=str(error))
        else:
            _log.info("the certificate was read again", file=str(self._files.cert))

    def _new(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(list(_PROTOCOLS))
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._files.cert, self._files.key)
        except OSError as error:
            raise ConfigurationError(f"the certificate {self._files.cert} cannot be used: {_why(error)}") from None
        if self._files.client_ca is None:
            return
        try:
            context.load_verify_locations(self._files.client_ca)
        except OSError as error:
            why = "it holds no certificate as PEM" if isinstance(error, ssl.SSLError) else _why(error)
            raise ConfigurationError(f"the authorities {self._files.client_ca} cannot be used: {why}") from None
        context.verify_mode = ssl.CERT_REQUIRED if self._files.client_required else ssl.CERT_OPTIONAL

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        try:
            return tuple((one.stat().st_mtime_ns, one.stat().st_size) for one in self._files.all)
        except OSError as error:
            raise ConfigurationError(f"the certificate cannot be read: {error.filename}: {_why(error)}") from None


def server_tls(files: ServerCertificate | None) -> ServerTls | None:
    """Returns the TLS of a port with this certificate; None without one, for plain HTTP."""
    return None if files is None else ServerTls(files)


def client_certificate(transport: asyncio.BaseTransport) -> dict[str, Any]:
    """Returns the extensions of a scope that name the client's verified certificate; empty without one.

    They are those of ASGI's TLS extension: the subject in the form of RFC 4514, and the certificate as PEM.
    """
    tls = transport.get_extra_info("ssl_object")
    octets = None if tls is None else tls.getpeercert(binary_form=True)
    if octets is None:
        return {}
    subject = load_der_x509_certificate(octets).subject.rfc4514_string()
    return {"tls": {"client_cert_name": subject, "client_cert_chain": [ssl.DER_cert_to_PEM_cert(octets)]}}


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the private key belongs to another certificate"
        return "the files hold no certificate and no key as PEM"
    return (error.strerror or str(error)).lower()
