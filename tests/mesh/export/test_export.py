"""What is exported is as the golden files have it. `python tests/mesh/export/test_export.py` writes them anew.

The golden files were held against the schemas of Istio, Linkerd, the Gateway API and Kubernetes when they were made;
the tests hold what those schemas do not: that references lead somewhere, and that nothing of the policy is missing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from marketplace.app.app import app
from souk.mesh.export.cluster import Cluster, Resource
from souk.mesh.export.exporting import ExportRefused, exported, text_of
from souk.mesh.export.targets import MeshTarget
from souk.mesh.policy.methods import health_methods
from souk.mesh.policy.reading import parse_policy
from souk.mesh.policy.who_may_call import who_may_call
from souk.testing.processes import run

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = Path(__file__).parent / "golden"
VERSIONS = """
services:
  product:
    split: {headers: [{name: x-canary, value: "yes", version: v2}], weights: {v1: 90, v2: 10}}
"""
_MIRROR = "    methods: {GetProduct: {mirror: {version: v2, share: 2.5%}}}\n"
_ISTIO = """    locality: {prefer: zone}
    limits: {connections: 32}
    methods:
      GetProduct: {try_timeout: 500ms, tries: {attempts: 2}, mirror: {version: v2, share: 2.5%}}
      CreateProduct: {tries: none, timeout: none, faults: {delay: {share: 5%, for: 200ms}}}
      DeleteProduct: {tries: none, timeout: none, try_timeout: none, faults: {abort: {share: 1%, code: UNAVAILABLE}}}
"""
CLUSTER = Cluster("shop", ingress=("edge", "public"), backend_ca="gateway-ca")
CASES = {
    "istio": (MeshTarget.ISTIO, False),
    "istio-ambient": (MeshTarget.ISTIO, True),
    "linkerd": (MeshTarget.LINKERD, False),
    "gateway-api": (MeshTarget.GATEWAY_API, False),
}
WHO = who_may_call(app.services)
CHARGE = "/shop.payment.v1.PaymentService/Charge"
CREATE = "/shop.product.v1.ProductService/CreateProduct"


def shipped(target: MeshTarget) -> str:
    """Returns the text of the policy that the repository has for a target."""
    return (ROOT / "deploy" / "mesh" / f"{target.value}.yaml").read_text()


def fullest(target: MeshTarget) -> str:
    """Returns a policy with versions, and with all else that a target can say of them."""
    more = {MeshTarget.ISTIO: _ISTIO, MeshTarget.LINKERD: "", MeshTarget.GATEWAY_API: _MIRROR}[target]
    return shipped(target) + VERSIONS + more


def export_of(case: str, policy: str | None = None) -> dict[str, list[Resource]]:
    target, ambient = CASES[case]
    text = fullest(target) if policy is None else policy
    return exported(target, parse_policy(text, app.services), WHO, CLUSTER, ambient=ambient)


def resources(case: str, kind: str, policy: str | None = None) -> dict[str, Any]:
    """The resources of a kind by name."""
    found = [one for file in export_of(case, policy).values() for one in file if one["kind"] == kind]
    return {one["metadata"]["name"]: one for one in found}


def everything(node: Any) -> Iterator[Any]:
    """Every mapping in a resource."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from everything(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from everything(value)


@pytest.mark.parametrize("case", CASES)
def test_what_is_exported_is_as_it_was(case: str) -> None:
    files = export_of(case)
    assert {path.stem for path in (GOLDEN / case).iterdir()} == set(files)
    for name, found in files.items():
        assert text_of(found) == (GOLDEN / case / f"{name}.yaml").read_text(), name


@pytest.mark.parametrize("case", CASES)
def test_each_resource_has_a_name_of_its_own_and_all_that_one_needs(case: str) -> None:
    found = [one for file in export_of(case).values() for one in file]
    names = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in found]
    assert len(set(names)) == len(names)
    for one in found:
        assert one.keys() >= {"apiVersion", "kind", "metadata"}
        assert len(one["metadata"]["name"]) <= 253
        assert yaml.safe_load(yaml.safe_dump(dict(one))) == one


@pytest.mark.parametrize("target", MeshTarget)
def test_the_policy_that_is_shipped_for_a_target_can_be_exported(target: MeshTarget) -> None:
    policy = parse_policy(shipped(target), app.services)
    assert exported(target, policy, WHO, CLUSTER).keys() >= {service.name for service in app.services}


# Who may call, in what each target has for it: method -> callers.
def istio_rules(case: str, service: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in resources(case, "AuthorizationPolicy")[service]["spec"]["rules"]:
        callers = {one.rpartition("/")[2] for source in rule["from"] for one in source["source"]["principals"]}
        for to in rule["to"]:
            for path in to["operation"]["paths"]:
                found.setdefault(path, set()).update(callers)
    return found


def linkerd_rules(case: str, service: str) -> dict[str, set[str]]:
    routes, found = resources(case, "GRPCRoute"), dict[str, set[str]]()
    accounts = {
        name: {one["name"] for one in resource["spec"]["identityRefs"]}
        for name, resource in resources(case, "MeshTLSAuthentication").items()
    }
    for policy in resources(case, "AuthorizationPolicy").values():
        route = routes[policy["spec"]["targetRef"]["name"]]["spec"]
        (reference,) = policy["spec"]["requiredAuthenticationRefs"]
        if route["parentRefs"][0]["name"] == service and reference["kind"] == "MeshTLSAuthentication":
            for match in route["rules"][0]["matches"]:
                name = f"/{match['method']['service']}/{match['method']['method']}"
                found.setdefault(name, set()).update(accounts[reference["name"]])
    return found


@pytest.mark.parametrize("service", [service.name for service in app.services])
@pytest.mark.parametrize("case", ["istio", "istio-ambient", "linkerd"])
def test_exactly_those_who_may_call_are_let_in(case: str, service: str) -> None:
    found = linkerd_rules(case, service) if case == "linkerd" else istio_rules(case, service)
    health = health_methods() if case == "linkerd" else ()  # which probes without an identity may call there
    wanted = {name: set(reasons) for name, reasons in WHO.services[service].items() if reasons and name not in health}
    assert found == wanted


@pytest.mark.parametrize("service", [service.name for service in app.services])
def test_only_those_who_may_call_something_may_connect(service: str) -> None:
    spec = resources("gateway-api", "NetworkPolicy")[f"{service}-callers"]["spec"]
    apps = {one["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for one in spec["ingress"][0]["from"]}
    assert apps == WHO.callers_of(service)


def test_istio_takes_nothing_without_mutual_tls() -> None:
    for case in ("istio", "istio-ambient"):
        assert resources(case, "PeerAuthentication")["default"]["spec"] == {"mtls": {"mode": "STRICT"}}
        rules = resources(case, "DestinationRule").values()
        assert {rule["spec"]["trafficPolicy"]["tls"]["mode"] for rule in rules} == {"ISTIO_MUTUAL"}


def test_in_ambient_mode_policies_are_the_waypoints_and_pods_take_connections_from_it_alone() -> None:
    waypoint = resources("istio-ambient", "Gateway")["waypoint"]
    assert waypoint["spec"]["gatewayClassName"] == "istio-waypoint"
    labels = resources("istio-ambient", "Namespace")["shop"]["metadata"]["labels"]
    assert labels == {"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "waypoint"}
    policies = resources("istio-ambient", "AuthorizationPolicy")
    assert policies["order"]["spec"]["targetRefs"] == [{"group": "", "kind": "Service", "name": "order"}]
    assert "selector" not in policies["order"]["spec"]
    (rule,) = policies["order-through-waypoint"]["spec"]["rules"]
    assert rule["from"][0]["source"]["principals"] == ["cluster.local/ns/shop/sa/waypoint"]


def test_istio_leads_calls_only_to_subsets_that_there_are() -> None:
    rules = resources("istio", "DestinationRule")
    for name, service in resources("istio", "VirtualService").items():
        used = {one["subset"] for one in everything(service["spec"]) if "subset" in one}
        assert used <= {one["name"] for one in rules[name]["spec"].get("subsets", [])}


@pytest.mark.parametrize("case", ["linkerd", "gateway-api"])
def test_routes_lead_to_services_that_there_are(case: str) -> None:
    versions = set(resources(case, "Service")) | {"gateway"}
    for kind in ("GRPCRoute", "HTTPRoute"):
        for route in resources(case, kind).values():
            backends = [one for rule in route["spec"]["rules"] for one in rule.get("backendRefs", [])]
            assert {one["name"] for one in backends} <= versions


def istio_route(method: str, policy: str | None = None) -> dict[str, Any]:
    """The route that takes a call of a method without a header of a version."""
    found = [
        route
        for service in resources("istio", "VirtualService", policy).values()
        for route in service["spec"]["http"]
        for match in route.get("match", [])
        if match["uri"]["exact"] == method and "headers" not in match
    ]
    route: dict[str, Any]
    (route,) = found
    return route


def test_istio_never_tries_again_what_is_not_harmless() -> None:
    assert istio_route(CREATE)["retries"] == {"attempts": 0}
    assert istio_route(CHARGE)["retries"]["attempts"] == 2
    for service in resources("istio", "VirtualService").values():
        assert all("retries" in route for route in service["spec"]["http"]), "Istio's default tries twice again"


def test_a_call_with_the_header_of_a_version_goes_there_first() -> None:
    first, second = resources("istio", "VirtualService")["product"]["spec"]["http"][:2]
    assert first["match"][0]["headers"] == {"x-canary": {"exact": "yes"}}
    assert [one["destination"]["subset"] for one in first["route"]] == ["v2"]
    assert [(one["destination"]["subset"], one["weight"]) for one in second["route"]] == [("v1", 90), ("v2", 10)]


def test_with_one_try_the_limit_of_a_try_is_that_of_the_call() -> None:
    text = shipped(MeshTarget.ISTIO) + "services: {payment: {methods: {Charge: {tries: none, try_timeout: 2s}}}}\n"
    assert istio_route(CHARGE, text)["timeout"] == "2s"
    assert istio_route(CHARGE)["timeout"] == "5s"


def test_linkerd_says_tries_time_limits_and_ejection_by_annotations() -> None:
    text = shipped(MeshTarget.LINKERD) + "services: {payment: {methods: {Charge: {try_timeout: 1500ms}}}}\n"
    assert resources("linkerd", "GRPCRoute", text)["payment-charge"]["metadata"]["annotations"] == {
        "timeout.linkerd.io/request": "5s",
        "retry.linkerd.io/grpc": "unavailable,deadline-exceeded,resource-exhausted,internal",
        "retry.linkerd.io/limit": "2",
        "retry.linkerd.io/timeout": "1500ms",
    }
    accrual = "balancer.linkerd.io/failure-accrual"
    found = resources("linkerd", "Service")["payment"]["metadata"]["annotations"]
    assert (found[accrual], found[f"{accrual}-consecutive-max-failures"]) == ("consecutive", "5")
    assert found[f"{accrual}-consecutive-min-penalty"] == "5s"


def test_the_gateway_api_has_grpc_routes_where_no_time_limit_is_given() -> None:
    text = shipped(MeshTarget.GATEWAY_API) + "services: {order: {timeout: none, try_timeout: none}}\n"
    assert "order-place-order" in resources("gateway-api", "GRPCRoute", text)
    assert "order-place-order" in resources("gateway-api", "HTTPRoute")
    kinds = {one["kind"] for one in export_of("gateway-api", text)["order"]}
    assert "HTTPRoute" not in kinds, "routes of both kinds at one Service contradict each other"


def test_an_ingress_of_another_namespace_needs_leave() -> None:
    (grant,) = resources("gateway-api", "ReferenceGrant").values()
    assert grant["spec"]["from"][0]["namespace"] == "edge"
    policy = parse_policy(shipped(MeshTarget.GATEWAY_API), app.services)
    beside = exported(MeshTarget.GATEWAY_API, policy, WHO, Cluster("shop", ingress=("shop", "public")))
    assert {one["kind"] for one in beside["mesh"]} == {"HTTPRoute"}


def test_what_a_target_cannot_say_is_refused_and_nothing_is_exported() -> None:
    with pytest.raises(ExportRefused) as refused:
        export_of("linkerd", "")
    lines = str(refused.value).splitlines()
    assert any(
        line == "linkerd cannot say limits.requests (product, user, inventory and 4 more): "
        "it does not limit what is under way; write `limits: none` if it is not needed"
        for line in lines
    ), lines


async def test_the_command_prints_yaml() -> None:
    ended = await run("mesh", "export", "istio", "--policy", str(ROOT / "deploy/mesh/istio.yaml"), "--namespace", "a")
    assert ended.status == 0, ended.err
    found = list(yaml.safe_load_all(ended.out))
    assert {one["metadata"].get("namespace", "a") for one in found} == {"a"}


async def test_the_command_writes_a_file_for_each_service(tmp_path: Path) -> None:
    policy = str(ROOT / "deploy/mesh/linkerd.yaml")
    ended = await run("mesh", "export", "linkerd", "--policy", policy, "--output", str(tmp_path / "out"))
    assert ended.status == 0, ended.err
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {"mesh", *(service.name for service in app.services)}


async def test_the_command_refuses_in_one_line_each_and_writes_nothing(tmp_path: Path) -> None:
    ended = await run("mesh", "export", "gateway-api", "--output", str(tmp_path / "out"))
    assert (ended.status, ended.out) == (1, "")
    assert "gateway-api cannot say ejection (" in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [("--ambient",), ("--ingress", "a/b"), ("--backend-ca", "ca")])
async def test_an_option_of_another_target_is_refused(option: tuple[str, ...]) -> None:
    ended = await run("mesh", "export", "linkerd", *option)
    assert ended.status == 2
    assert f"{option[0]} is for " in ended.err


if __name__ == "__main__":
    for name in CASES:
        (GOLDEN / name).mkdir(parents=True, exist_ok=True)
        for old in (GOLDEN / name).iterdir():
            old.unlink()
        for file, made in export_of(name).items():
            (GOLDEN / name / f"{file}.yaml").write_text(text_of(made))
