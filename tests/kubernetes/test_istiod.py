"""Istio's own control plane makes of the overlay what the policy says: routes, limits and rules for Envoy."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml

from marketplace.app.app import app
from souk.mesh.policy.policy import MeshPolicy
from souk.mesh.policy.reading import parse_policy
from souk.mesh.policy.who_may_call import who_may_call
from tests.kubernetes.cluster import ROOT, TIMEOUT, Cluster, Namespace, kustomized
from tests.kubernetes.istiod import CLUSTERS, LISTENERS, ROUTES, Istiod, rules_of
from tests.kubernetes.test_meshes import applied, meshed  # noqa: F401 - a fixture
from tests.kubernetes.test_rollouts import WORKLOADS

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("kubernetes")]
SERVICES = [service.name for service in app.services]
PORT = 50051


@pytest.fixture(scope="module")
def souk(meshed: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Namespace, Istiod]]:  # noqa: F811
    """The overlay in its namespace, and istiod, which has read it."""
    for name in ("souk", "istio-system"):
        meshed.kubectl("create", "namespace", name)
    namespace = Namespace(meshed, "souk")
    applied(meshed, list(yaml.safe_load_all(kustomized("overlays/istio"))))
    namespace.rolled_out(*WORKLOADS)
    with Istiod(tmp_path_factory.mktemp("istiod"), meshed) as istiod:
        asyncio.run(istiod.start())
        yield namespace, istiod
    meshed.kubectl("delete", "namespace", TIMEOUT, "souk", "istio-system")


@pytest.fixture(scope="module")
def policy() -> MeshPolicy:
    return parse_policy((ROOT / "deploy" / "mesh" / "istio.yaml").read_text(), app.services)


def host(service: str) -> str:
    return f"{service}.souk.svc.cluster.local"


def test_routes_have_the_times_and_tries_of_the_policy(souk: tuple[Namespace, Istiod], policy: MeshPolicy) -> None:
    namespace, istiod = souk
    [found] = istiod.sends(namespace.pods("order")[0], ROUTES, str(PORT)).values()
    hosts = {one.name: one for one in found.virtual_hosts}
    for name, service in policy.services.items():
        virtual = hosts[f"{host(name)}:{PORT}"]
        assert name in virtual.domains
        routes = {one.match.path: one.route for one in virtual.routes if one.match.path}
        assert routes.keys() == service.methods.keys()
        for method, rules in service.methods.items():
            route = routes[method]
            assert seconds(route.timeout) == (rules.timeout or 0), method
            assert route.retry_policy.num_retries.value == (rules.tries.attempts - 1 if rules.tries else 0), method


def seconds(duration: Any) -> float:
    return float(duration.seconds + duration.nanos / 1e9)


def test_clusters_have_the_limits_and_the_ejection_of_the_policy(
    souk: tuple[Namespace, Istiod], policy: MeshPolicy
) -> None:
    namespace, istiod = souk
    found = istiod.sends(namespace.pods("order")[0], CLUSTERS)
    for name, service in policy.services.items():
        cluster = found[f"outbound|{PORT}||{host(name)}"]
        assert service.limits is not None
        assert service.ejection is not None
        [limits] = [one for one in cluster.circuit_breakers.thresholds if one.HasField("max_requests")]
        assert limits.max_requests.value == service.limits.requests
        assert cluster.outlier_detection.consecutive_5xx.value == service.ejection.failures


@pytest.mark.parametrize("service", SERVICES)
def test_rules_let_in_exactly_those_who_may_call(souk: tuple[Namespace, Istiod], service: str) -> None:
    namespace, istiod = souk
    found = callers_by_path(rules_of(istiod.sends(namespace.pods(service)[0], LISTENERS)))
    wanted = {method: set(reasons) for method, reasons in who_may_call(app.services).services[service].items()}
    assert found == {method: callers for method, callers in wanted.items() if callers}


def callers_by_path(every: Iterable[Any]) -> dict[str, set[str]]:
    """Gives the accounts that rules let in, by the path of the method."""
    found: dict[str, set[str]] = {}
    for rules in every:
        for one in rules.policies.values():
            callers = set(names_in(one.principals))
            for path in set(paths_in(one.permissions)):
                found.setdefault(path, set()).update(callers)
    return found


def names_in(principals: Any) -> Iterator[str]:
    """Finds the accounts that are let in: by the certificate that a sidecar sees, or as a ztunnel names them."""
    for one in flat(principals, "ids"):
        for name in (one.authenticated.principal_name, one.filter_state.string_match):
            if text := name.exact or name.suffix or name.safe_regex.regex:
                yield text.rpartition("/")[2]


def paths_in(permissions: Any) -> Iterator[str]:
    for one in flat(permissions, "rules"):
        if text := one.url_path.path.exact:
            yield text


def flat(every: Any, inner: str) -> Iterator[Any]:
    """Gives rules that are put together by `and` and `or`, one by one."""
    for one in every:
        yield one
        for both in ("and_ids", "or_ids", "and_rules", "or_rules"):
            if both.endswith(inner) and one.HasField(both):
                yield from flat(getattr(getattr(one, both), inner), inner)
