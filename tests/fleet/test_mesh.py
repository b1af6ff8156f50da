"""A fleet whose processes call each other through sidecars: who is let in there, as strangers find it."""

import json
import socket

import grpc
import httpx
import pytest
from google.protobuf.empty_pb2 import Empty

from souk.kernel.clock import SystemClock
from souk.mesh.identity.authority import CertificateAuthority, WorkloadCertificate
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.spiffe import TRUST_DOMAIN, Workload, instance_name
from souk.mesh.identity.store import AuthorityStore
from souk.runtime.data.layout import DataLayout
from tests.fleet.conftest import PRICE, Bazaar

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("a fleet with a mesh")]
TLS_ALERT = b"\x15"
"""How a message of TLS begins that ends a handshake (RFC 8446, 5.1)."""
CHARGE = "/shop.payment.v1.PaymentService/Charge"


@pytest.fixture(scope="module")
def authority(meshed: Bazaar) -> CertificateAuthority:
    """The authority of the fleet: whoever reads its files can be anybody."""
    return CertificateAuthority(AuthorityStore(meshed.system.data), Lifetimes(), SystemClock())


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(AuthorityStore(tmp_path_factory.mktemp("foreign")), Lifetimes(), SystemClock())


def stats(bazaar: Bazaar, instance: str, pattern: str) -> dict[str, int]:
    """Gives the counters of an instance's sidecar whose names match."""
    path = DataLayout(bazaar.system.data.resolve()).sidecar(instance).admin
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://admin") as client:
        found = json.loads(client.get("/stats", params={"format": "json", "filter": pattern}).text)["stats"]
    return {one["name"]: one["value"] for one in found if isinstance(one.get("value"), int)}


def called(bazaar: Bazaar, method: str, by: WorkloadCertificate, trusting: CertificateAuthority) -> grpc.RpcError:
    """Calls a method of Payment at its sidecar, as somebody with a certificate; it ends with an error."""
    path = DataLayout(bazaar.system.data.resolve()).sidecar("payment-1").inbound
    credentials = grpc.ssl_channel_credentials(trusting.bundle.encode(), by.key.encode(), by.chain.encode())
    named = (("grpc.ssl_target_name_override", instance_name(TRUST_DOMAIN, "payment-1")),)
    with grpc.secure_channel(f"unix:{path}", credentials, named) as channel:
        ask = channel.unary_unary(method, Empty.SerializeToString, Empty.FromString)
        with pytest.raises(grpc.RpcError) as refused:
            ask(Empty(), timeout=60.0)
    return refused.value


def test_an_order_goes_from_sidecar_to_sidecar(meshed: Bazaar) -> None:
    buyer = meshed.accounts[0]
    before = stats(meshed, "payment-1", "http.inbound.rbac.allowed$")
    buyer.buy((meshed.product, 1, PRICE))
    after = stats(meshed, "payment-1", "http.inbound.rbac.allowed$")
    assert after["http.inbound.rbac.allowed"] > before["http.inbound.rbac.allowed"]
    assert stats(meshed, "payment-1", "^listener.*ssl.handshake$")


def test_each_process_and_its_sidecar_are_listed(meshed: Bazaar) -> None:
    listed = {one["instance"]: one["kind"] for one in meshed.operator.ps()}
    assert listed["mesh"] == "control_plane"
    services = [name for name, kind in listed.items() if kind in ("service", "gateway")]
    assert {name for name, kind in listed.items() if kind == "sidecar"} == {f"{name}-sidecar" for name in services}


def test_who_may_call_a_method_reaches_the_application(meshed: Bazaar, authority: CertificateAuthority) -> None:
    error = called(meshed, CHARGE, authority.issue(Workload("order", "order-9")), authority)
    # The application asks for more than a certificate: the token of the calling service.
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


def test_the_right_service_is_refused_on_the_wrong_method(meshed: Bazaar, authority: CertificateAuthority) -> None:
    error = called(meshed, CHARGE, authority.issue(Workload("gateway", "gateway-9")), authority)
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "RBAC" in error.details()


def test_a_wrong_service_is_refused(meshed: Bazaar, authority: CertificateAuthority) -> None:
    error = called(meshed, CHARGE, authority.issue(Workload("product", "product-9")), authority)
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_foreign_certificate_is_refused(
    meshed: Bazaar, authority: CertificateAuthority, foreign: CertificateAuthority
) -> None:
    before = stats(meshed, "payment-1", "^listener.*ssl.fail_verify")
    error = called(meshed, CHARGE, foreign.issue(Workload("order", "order-9")), authority)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    after = stats(meshed, "payment-1", "^listener.*ssl.fail_verify")
    assert sum(after.values()) > sum(before.values())


def test_plaintext_is_refused(meshed: Bazaar) -> None:
    path = DataLayout(meshed.system.data.resolve()).sidecar("payment-1").inbound
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(60.0)
        plain.connect(str(path))
        plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        try:
            answer = plain.recv(1024)
        except ConnectionError:
            answer = b""
    assert answer[:1] in (b"", TLS_ALERT), answer
