"""Those who try to get into a mesh of two: what they show, and what Payment's sidecar answers them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import grpc
import grpc.aio

from souk.kernel.addresses import socket_path
from souk.mesh.identity.authority import CertificateAuthority, WorkloadCertificate
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.spiffe import TRUST_DOMAIN, Workload, instance_name
from souk.mesh.identity.store import AuthorityStore
from souk.testing.clocks import OtherMachine
from tests.mesh.order_and_payment import TwoSidecars

HOUR, PATIENCE = 3_600.0, 60.0
CHARGE = "/shop.payment.v1.PaymentService/Charge"
ORDER = Workload("order", "order-9")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
TLS_ALERT = b"\x15"
"""How a message of TLS begins that ends a handshake (RFC 8446, 5.1)."""
LET_IN, CLOSED = "let in", "closed"
Certificate = Callable[[Path], WorkloadCertificate]


def _of_another_date(ahead: float) -> Certificate:
    """Issues a certificate as the authority of the mesh does on a machine whose date is wrong."""
    return lambda folder: CertificateAuthority(AuthorityStore(folder), Lifetimes(), OtherMachine(ahead)).issue(ORDER)


def _foreign(folder: Path) -> WorkloadCertificate:
    return CertificateAuthority(AuthorityStore(folder / "foreign"), Lifetimes(), OtherMachine(0.0)).issue(ORDER)


CERTIFICATES: Mapping[str, Certificate] = {
    "of a foreign authority": _foreign,
    "expired": _of_another_date(-HOUR),
    "not yet valid": _of_another_date(HOUR),
}


async def shown_to(
    mesh: TwoSidecars, folder: Path, by: WorkloadCertificate | None, *, checks_server: bool = True
) -> str:
    """Connects to Payment's sidecar by TLS with a certificate, or without one; returns the alert that ends it."""
    context = ssl.create_default_context(cadata=mesh.authority.bundle)
    if not checks_server:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if by is not None:
        _show(context, by, folder)
    name = instance_name(TRUST_DOMAIN, "payment-1")
    reader, writer = await asyncio.open_unix_connection(socket_path(mesh.inbound), ssl=context, server_hostname=name)
    with closing(writer):
        try:
            # A client of TLS 1.3 learns only after its own handshake what the server thinks of its certificate.
            return LET_IN if await asyncio.wait_for(reader.read(1), PATIENCE) else CLOSED
        except ssl.SSLError as error:
            return error.reason


async def server_is_shown(mesh: TwoSidecars) -> str:
    """Connects to Payment's sidecar by TLS; returns what is wrong with its certificate, or ""."""
    context = ssl.create_default_context(cadata=mesh.authority.bundle)
    name = instance_name(TRUST_DOMAIN, "payment-1")
    try:
        _, writer = await asyncio.open_unix_connection(socket_path(mesh.inbound), ssl=context, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    writer.close()
    return ""


def _show(context: ssl.SSLContext, by: WorkloadCertificate, folder: Path) -> None:
    file = folder / "stranger.pem"
    file.write_text(by.key + by.chain)
    context.load_cert_chain(file)


@asynccontextmanager
async def impersonating(mesh: TwoSidecars, folder: Path, by: WorkloadCertificate) -> AsyncIterator[list[bytes]]:
    """Takes calls of anybody where Payment's sidecar does, by TLS with another certificate; gives what is received."""
    received: list[bytes] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2"])
    _show(context, by, folder)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError):
            while chunk := await reader.read(1024):
                received.append(chunk)

    path = Path(socket_path(mesh.inbound))
    path.unlink(missing_ok=True)
    async with await asyncio.start_unix_server(take, path, ssl=context):
        yield received


async def plain_to(mesh: TwoSidecars) -> str:
    """Speaks HTTP/2 without TLS to Payment's sidecar, which may answer by an alert of TLS; returns what happens."""
    reader, writer = await asyncio.open_unix_connection(socket_path(mesh.inbound))
    with closing(writer):
        writer.write(PREFACE)
        try:
            return LET_IN if (await reader.read(1)).strip(TLS_ALERT) else CLOSED
        except ConnectionResetError:
            return CLOSED


def channel_to(mesh: TwoSidecars, by: WorkloadCertificate) -> grpc.aio.Channel:
    """Makes a channel to Payment's sidecar with a certificate."""
    credentials = grpc.ssl_channel_credentials(mesh.authority.bundle.encode(), by.key.encode(), by.chain.encode())
    named = (
        ("grpc.ssl_target_name_override", instance_name(TRUST_DOMAIN, "payment-1")),
        ("grpc.use_local_subchannel_pool", 1),
    )
    return grpc.aio.secure_channel(mesh.inbound, credentials, named)


async def status_of(channel: grpc.aio.Channel, method: str) -> tuple[str, str]:
    """Calls a method; returns the name of the status that ends the call, and its message."""
    try:
        await channel.unary_unary(method)(b"", timeout=PATIENCE)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""
