"""A real Envoy gets its certificate from our control plane, and a new one without a new listener."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from souk.mesh.envoy.resource import LISTENER, SECRET, Resource, resource
from souk.mesh.xds.server import AdsServer
from souk.mesh.xds.snapshot import ResourceGroup, ResourceSnapshot
from souk.testing.certificates import Authority
from souk.testing.servers.sidecar import SidecarProcess
from tests.mesh import envoy_resources as envoy
from tests.mesh.conftest import NODE

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"


@pytest.fixture
def authority(folder: Path) -> Authority:
    return Authority(folder)


def secret(authority: Authority) -> Resource:
    """Issues a certificate and makes the secret with it."""
    chain, key = ({"inline_string": path.read_text()} for path in authority.issue("payment"))
    return resource(SECRET, {"name": "own", "tls_certificate": {"certificate_chain": chain, "private_key": key}})


def inbound(socket: Path) -> tuple[Resource, Resource]:
    """Makes a listener with TLS, and its routes."""
    own = {"name": "own", "sds_config": envoy.ADS}
    tls = {"@type": TLS, "common_tls_context": {"tls_certificate_sds_secret_configs": [own]}}
    listener = envoy.listener("inbound", socket, transport_socket={"name": "tls", "typed_config": tls})
    return listener, envoy.routes("outbound", "payment")


async def certificate_of(socket: Path, authority: Authority) -> dict[str, Any]:
    """Connects, and gives the certificate that is presented."""
    context = ssl.create_default_context(cafile=authority.ca)
    _, writer = await asyncio.open_unix_connection(str(socket), ssl=context, server_hostname="payment")
    try:
        found: dict[str, Any] = writer.get_extra_info("ssl_object").getpeercert()
        return found
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_certificate_comes_and_is_exchanged(
    ads: AdsServer, sidecar: SidecarProcess, authority: Authority, folder: Path
) -> None:
    http, routes = inbound(folder / "in.sock")
    first = secret(authority)
    ads.publish({NODE: ResourceSnapshot(ResourceGroup([http, routes, first]))})
    await sidecar.start()
    assert (await ads.settled(NODE))[SECRET].held == {"own": first.version}
    before = await certificate_of(folder / "in.sock", authority)
    second = secret(authority)
    ads.publish({NODE: ResourceSnapshot(ResourceGroup([http, routes, second]))})
    taken = await ads.settled(NODE)
    assert (taken[SECRET].held, taken[LISTENER].held) == ({"own": second.version}, {"inbound": http.version})
    while (await certificate_of(folder / "in.sock", authority))["serialNumber"] == before["serialNumber"]:
        pass
    assert (await sidecar.stats("lds.update_success"))["listener_manager.lds.update_success"] == 1


async def test_a_certificate_without_its_key_is_rejected_and_the_one_before_serves(
    ads: AdsServer, sidecar: SidecarProcess, authority: Authority, folder: Path
) -> None:
    rest = inbound(folder / "in.sock")
    ads.publish({NODE: ResourceSnapshot(ResourceGroup([*rest, secret(authority)]))})
    await sidecar.start()
    await ads.settled(NODE)
    before = await certificate_of(folder / "in.sock", authority)
    _, key = authority.issue("another")
    chain, _ = authority.issue("payment")
    mixed = {
        "certificate_chain": {"inline_string": chain.read_text()},
        "private_key": {"inline_string": key.read_text()},
    }
    broken = resource(SECRET, {"name": "own", "tls_certificate": mixed})
    ads.publish({NODE: ResourceSnapshot(ResourceGroup([*rest, broken]))})
    (rejection,) = (await ads.settled(NODE))[SECRET].rejections
    assert rejection.version == broken.version
    assert "PRIVATE KEY" not in rejection.error
    assert await certificate_of(folder / "in.sock", authority) == before
