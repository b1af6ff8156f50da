"""Mutual TLS between services on different machines, with certificates that the operator provides.

Each side shows a certificate that the authority of the installation signed. The caller goes on only when the
callee's certificate has the called service as a DNS name in it (`payment`), whatever the address is.
The files are read again when they change: for the next connection that is made, and the next that is accepted.
"""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import grpc

from souk.kernel.errors import ConfigurationError

_CHECK_EVERY = 1.0
"""Seconds after which the files are checked for changes again."""
_UNREADABLE = "the certificates between services cannot be read: {}"

Stamp = tuple[tuple[int, int], ...]
"""The modification time, in nanoseconds, and the size of each file."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: `cert`, the certificate of this process with its chain; its `key`; `ca`, the authority it trusts."""

    cert: Path
    key: Path
    ca: Path


class MutualTls:
    """The TLS settings of this process. Raises ConfigurationError, in one line, for files that cannot be used."""

    def __init__(self, files: Certificates) -> None:
        self._files = files
        self._checked_at, self._stamp = time.monotonic(), self._stamped()
        self._client = (self._stamp, self._context(ssl.PROTOCOL_TLS_CLIENT))
        self._served = self._stamp

    @property
    def stamp(self) -> Stamp:
        """A value that changes when one of the files changes."""
        now = time.monotonic()
        if now - self._checked_at >= _CHECK_EVERY:
            self._checked_at, self._stamp = now, self._stamped()
        return self._stamp

    def client(self) -> ssl.SSLContext:
        """Returns the context for the next connection to a service."""
        stamp = self.stamp
        if self._client[0] != stamp:
            self._client = (stamp, self._context(ssl.PROTOCOL_TLS_CLIENT))
        return self._client[1]

    def server(self) -> ssl.SSLContext:
        """Makes a context for connections that a server accepts; `renew` brings it up to date."""
        return self._context(ssl.PROTOCOL_TLS_SERVER)

    def renew(self, context: ssl.SSLContext) -> None:
        """Loads changed files into a server's context; a new authority is trusted in addition to the old one.

        Raises ConfigurationError while they cannot be used; the context serves as before then, and the next call
        tries again.
        """
        stamp = self.stamp
        if stamp != self._served:
            self._check()  # a context into which loading failed may have a certificate without a key
            self._load(context)
            self._served = stamp

    def grpc_client(self) -> grpc.ChannelCredentials:
        """Returns the credentials for a gRPC channel."""
        self._check()  # gRPC takes what does not fit together, and cannot connect with it
        ca, key, cert = self._read()
        return grpc.ssl_channel_credentials(ca, key, cert)

    def grpc_server(self) -> grpc.ServerCredentials:
        """Returns the credentials for a gRPC server, which reads the files again for each connection."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._configuration, require_client_authentication=True
        )

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        ca, key, cert = self._read()
        return grpc.ssl_server_certificate_configuration([(key, cert)], ca)

    def _context(self, protocol: int) -> ssl.SSLContext:
        # Not ssl.create_default_context: it trusts every authority that the machine trusts, besides the installation's.
        context = ssl.SSLContext(protocol)
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load(context)
        return context

    def _check(self) -> None:
        """Raises ConfigurationError when the files are missing or do not fit together."""
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def _load(self, context: ssl.SSLContext) -> None:
        files = self._files
        try:
            context.load_cert_chain(files.cert, files.key)
            context.load_verify_locations(files.ca)
        except OSError as error:
            raise ConfigurationError(f"the certificates between services cannot be used: {error}") from None

    def _read(self) -> tuple[bytes, bytes, bytes]:
        """The authority, the key and the certificate."""
        files = self._files
        try:
            return files.ca.read_bytes(), files.key.read_bytes(), files.cert.read_bytes()
        except OSError as error:
            raise ConfigurationError(_UNREADABLE.format(error)) from None

    def _stamped(self) -> Stamp:
        files = (self._files.cert, self._files.key, self._files.ca)
        try:
            return tuple((found.st_mtime_ns, found.st_size) for found in map(Path.stat, files))
        except OSError as error:
            raise ConfigurationError(_UNREADABLE.format(error)) from None
