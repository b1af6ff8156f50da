"""Where a service takes calls: at sockets in the data directory, or at a port if the settings give one.

Only the owner of the data directory can enter the folder of its sockets, so nobody else can listen at the
address of a service that has died, or call one that lives. A port proves neither.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from souk.kernel.addresses import LONGEST_PATH, LOOPBACK, ON_LOOPBACK, socket_path, unix_address
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import CallSettings, ListenSettings, TlsSettings
from souk.runtime.data.directory import private
from souk.runtime.data.layout import DataLayout

PROTOCOLS = ("grpc", "rpc")
"""What the names of sockets end in, before `.sock`."""


@dataclass(frozen=True, slots=True)
class Address:
    """The addresses at which a service listens, for gRPC and for Connect."""

    grpc: str
    connect: str


@contextmanager
def service_address(instance: str, data: Path, listen: ListenSettings, calls: CallSettings) -> Iterator[Address]:
    """Gives the addresses of this instance inside the block, and removes its sockets after it.

    Raises ConfigurationError, in one line, when there can be no socket, when callers could not reach one, or when
    a port beyond loopback would have no TLS.
    """
    if listen.at_a_port:
        host = listen.host or LOOPBACK
        _require_protection(host, calls.tls)
        shown = f"[{host}]" if ":" in host else host
        yield Address(f"{shown}:{listen.port}", f"{shown}:0")
        return
    _require_local(calls.discovery.registry)
    with _folder(instance, data) as folder:
        paths = [folder / f"{instance}.{protocol}.sock" for protocol in PROTOCOLS]
        for path in paths:
            path.unlink(missing_ok=True)  # left by a process that was killed
        try:
            yield Address(*(unix_address(path) for path in paths))
        finally:
            for path in paths:
                path.unlink(missing_ok=True)


@contextmanager
def _folder(instance: str, data: Path) -> Iterator[Path]:
    """Gives the data directory's folder of sockets, or a temporary one if the path of a socket there is too long."""
    folder = DataLayout(data.resolve()).run_folder()
    longest = len(bytes(folder / f"{instance}.{PROTOCOLS[0]}.sock"))
    if longest <= LONGEST_PATH and "," not in str(folder):  # gRPC takes no comma
        yield private(folder)
        return
    with TemporaryDirectory(prefix="souk-run-") as elsewhere:
        yield Path(elsewhere)


def close_to_others(*addresses: str) -> None:
    """Lets only the owner connect to the sockets at these addresses, whatever becomes of their folder."""
    for path in filter(None, map(socket_path, addresses)):
        Path(path).chmod(0o600)


def _require_protection(host: str, tls: TlsSettings) -> None:
    if host not in ON_LOOPBACK and tls.certificates is None and not tls.plain_tcp:
        raise ConfigurationError(
            f"a service that listens on {host} without TLS proves nothing to its callers, and they nothing to it; set "
            "SOUK_TLS_CERT, SOUK_TLS_KEY and SOUK_TLS_CA, or SOUK_PLAIN_TCP=true where the network is to be trusted"
        )


def _require_local(registry: str | None) -> None:
    if registry is not None and not registry.startswith("unix:"):
        raise ConfigurationError(
            "SOUK_REGISTRY is read by other machines, which cannot reach a socket on this one; "
            "set SOUK_HOST to the address at which they reach this service"
        )
