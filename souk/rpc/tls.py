"""Mutual TLS between services of different machines, by certificates that are given.

Each side shows a certificate that the authority of the installation signed. The caller goes on only when the
callee's is made out to the service that is called, as a DNS name in it (`payment`); whatever the address is.
The files are read again when they change: for the next connection, and for the next that is taken.
"""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import grpc

from souk.kernel.errors import ConfigurationError

_CHECK_EVERY = 1.0
"""Seconds after which files are looked at again."""

Stamp = tuple[tuple[int, int], ...]
"""When each file was written, and its size."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: `cert`, what this process shows, with its chain; its `key`; and `ca`, who signs what it believes."""

    cert: Path
    key: Path
    ca: Path


class MutualTls:
    """What this process shows and believes. Raises ConfigurationError, in one line, for files that cannot be used."""

    def __init__(self, files: Certificates) -> None:
        self._files = files
        self._checked_at, self._stamp = time.monotonic(), self._stamped()
        self._client = (self._stamp, self._context(ssl.Purpose.SERVER_AUTH))
        self._served = self._stamp

    @property
    def stamp(self) -> Stamp:
        """Changes when a file does."""
        now = time.monotonic()
        if now - self._checked_at >= _CHECK_EVERY:
            self._checked_at, self._stamp = now, self._stamped()
        return self._stamp

    def client(self) -> ssl.SSLContext:
        """For the next connection to a service."""
        stamp = self.stamp
        if self._client[0] != stamp:
            self._client = (stamp, self._context(ssl.Purpose.SERVER_AUTH))
        return self._client[1]

    def server(self) -> ssl.SSLContext:
        """For connections that are taken; `renew` brings it up to date."""
        return self._context(ssl.Purpose.CLIENT_AUTH)

    def renew(self, context: ssl.SSLContext) -> None:
        """Lets a server's context show what the files hold now; an authority that is new is believed besides."""
        if self.stamp != self._served:
            self._served = self.stamp
            self._load(context)

    def grpc_client(self) -> grpc.ChannelCredentials:
        """For a channel of gRPC."""
        files = self._files
        return grpc.ssl_channel_credentials(files.ca.read_bytes(), files.key.read_bytes(), files.cert.read_bytes())

    def grpc_server(self) -> grpc.ServerCredentials:
        """For a server of gRPC, which asks again for each connection."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._configuration, require_client_authentication=True
        )

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        files = self._files
        pair = (files.key.read_bytes(), files.cert.read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], files.ca.read_bytes())

    def _context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        context = ssl.create_default_context(purpose)
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        files = self._files
        try:
            context.load_cert_chain(files.cert, files.key)
            context.load_verify_locations(files.ca)
        except OSError as error:
            raise ConfigurationError(f"the certificates between services cannot be used: {error}") from None

    def _stamped(self) -> Stamp:
        files = (self._files.cert, self._files.key, self._files.ca)
        try:
            return tuple((found.st_mtime_ns, found.st_size) for found in map(Path.stat, files))
        except OSError as error:
            raise ConfigurationError(f"the certificates between services cannot be read: {error}") from None
