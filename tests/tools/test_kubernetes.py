"""The manifests of deploy/kubernetes are what the app declares, and say nothing that Souk does not know."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from marketplace.app.app import app
from souk.descriptors.contract import Access, contract_of
from souk.discovery.external.dns import LATEST
from souk.gateway.settings import GATEWAY_SERVICE
from souk.runtime.config.environment import read
from souk.runtime.config.parsers import registry
from souk.runtime.config.resilience import read_resilience
from souk.runtime.config.settings import Settings
from souk.runtime.config.texts import variables
from souk.runtime.config.variables import BY_NAME, PREFIX
from souk.testing.processes import run_now

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"
BASE = MANIFESTS / "base"
SERVICES = {service.name: service for service in app.services}
WORKLOADS = {*SERVICES, GATEWAY_SERVICE}

Manifest = dict[str, Any]


def objects(kind: str) -> dict[str, Manifest]:
    """Gives the objects of a kind in the base, by name."""
    every = (one for path in BASE.glob("*.yaml") for one in yaml.safe_load_all(path.read_text()))
    return {one["metadata"]["name"]: one for one in every if one["kind"] == kind}


def pods() -> Iterator[tuple[str, Manifest]]:
    """Gives the templates of all pods."""
    for kind in ("Deployment", "Job"):
        for name, one in objects(kind).items():
            yield name, one["spec"]["template"]["spec"]


def allowed() -> set[tuple[str, str]]:
    """Gives the pairs of caller and callee that the network lets through, from the callees' policies."""
    found = set()
    for name, one in objects("NetworkPolicy").items():
        if name in SERVICES:
            for rule in one["spec"]["ingress"]:
                for peer in rule["from"]:
                    found.add((peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"], name))
    return found


def test_the_files_are_what_the_app_gives() -> None:
    command = [sys.executable, str(ROOT / "tools" / "kubernetes"), "check"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceAccount"])
def test_every_service_and_the_gateway_have_one(kind: str) -> None:
    assert objects(kind).keys() == WORKLOADS


def test_the_registry_finds_the_headless_services() -> None:
    for name, pod in pods():
        for variable in pod["containers"][0].get("env", ()):
            if variable["name"] == "SOUK_REGISTRY":
                assert registry(variable["value"].replace("$(POD_NAMESPACE)", "default"))
                pattern = variable["value"].partition("?name=")[2]
                assert pattern, name
                assert {pattern.format(service=one) for one in SERVICES} == headless()


def headless() -> set[str]:
    return {name for name, one in objects("Service").items() if one["spec"].get("clusterIP") == "None"}


def test_every_variable_is_one_that_souk_knows() -> None:
    known = {name for name, _, _ in variables(app.services)}
    named = {
        variable["name"]
        for _, pod in pods()
        for container in (*pod["containers"], *pod.get("initContainers", ()))
        for variable in container.get("env", ())
    }
    named |= {line.partition("=")[0] for line in settings().splitlines() if not line.startswith("#")}
    assert named - {"POD_NAMESPACE"} <= known


def settings() -> str:
    return (BASE / "settings.env").read_text()


def test_no_secret_stands_in_a_manifest() -> None:
    assert objects("Secret") == {}
    hidden = {f"{PREFIX}{name}".upper() for name, variable in BY_NAME.items() if variable.hidden} - {"SOUK_REGISTRY"}
    given = [one for _, pod in pods() for container in pod["containers"] for one in container["env"]]
    assert {"SOUK_SECRET", "SOUK_POSTGRES", "SOUK_REDIS"} <= hidden & {one["name"] for one in given}
    for one in given:
        if one["name"] in hidden:
            assert "secretKeyRef" in one.get("valueFrom", ()) or one["value"].startswith("@"), one["name"]
    assert not hidden & {line.partition("=")[0] for line in settings().splitlines()}


def test_no_pod_has_more_rights_than_it_needs() -> None:
    for name, pod in pods():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] is True, name
            assert rights["allowPrivilegeEscalation"] is False, name
            assert rights["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"].keys() == {"memory"}, name


def test_a_pod_ends_after_its_callers_have_forgotten_it_and_its_requests_are_done() -> None:
    drain = Settings().process.drain
    assert f"SOUK_DRAIN={drain:g}\n" in settings()
    for name, one in objects("Deployment").items():
        pod = one["spec"]["template"]["spec"]
        pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pause > LATEST, name
        assert pod["terminationGracePeriodSeconds"] > pause + drain, name


def test_what_waits_for_a_schema_has_a_job_that_makes_it() -> None:
    waiting = {
        container["args"][1]
        for one in objects("Deployment").values()
        for container in one["spec"]["template"]["spec"].get("initContainers", ())
    }
    migrated = {one["spec"]["template"]["spec"]["containers"][0]["args"][1] for one in objects("Job").values()}
    assert waiting == migrated == {name for name, service in SERVICES.items() if service.migrations is not None}


def test_the_network_lets_every_caller_through_that_a_contract_names() -> None:
    for service in app.services:
        for method in contract_of(service.contract).methods.values():
            for caller in method.policy.callers - {"*"}:
                assert (caller, service.name) in allowed(), method.full_name
            if method.policy.access in (Access.ANYONE, Access.CALLER):
                assert (GATEWAY_SERVICE, service.name) in allowed(), method.full_name


def test_the_network_lets_every_call_through_that_a_service_declares() -> None:
    declared = {(service.name, callee) for service in app.services for callee in service.calls}
    assert {("order", "product"), ("user", "payment"), ("notification", "user")} <= declared
    assert declared <= allowed()


def test_the_network_lets_events_through_and_what_is_parked_back() -> None:
    assert {("order", "notification"), ("notification", "order")} <= allowed()
    assert ("order", "analytics") in allowed()


def test_who_calls_nobody_is_let_to_nobody() -> None:
    assert {caller for caller, _ in allowed()} <= WORKLOADS
    assert not {("product", "payment"), ("inventory", "user"), ("analytics", "payment")} & allowed()


SERVERS = {
    5432: {"postgres"},
    6379: {"redis"},
    5672: {"rabbitmq"},
    5671: {"rabbitmq"},
    9092: {"kafka"},
    9200: {"opensearch", "elasticsearch"},
}
"""Extras of the platform by the ports of the servers that they reach."""


def test_the_image_reaches_every_server_whose_port_is_open() -> None:
    rules = objects("NetworkPolicy")["order"]["spec"]["egress"]
    assert {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]} == SERVERS.keys()
    dockerfile = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
    found = re.search(r"^ARG EXTRAS=(.*)$", dockerfile, re.MULTILINE)
    assert found
    assert set().union(*SERVERS.values()) <= set(found[1].split(","))


def test_both_ends_of_a_call_are_let_through() -> None:
    outgoing = set()
    for name, one in objects("NetworkPolicy").items():
        if name in WORKLOADS:
            for rule in one["spec"]["egress"]:
                for peer in rule.get("to", ()):
                    outgoing.add((name, peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]))
    assert outgoing == allowed()


def test_the_public_reaches_every_route_and_nothing_for_operators() -> None:
    [route] = objects("HTTPRoute").values()
    matches = [match["path"] for rule in route["spec"]["rules"] for match in rule["matches"]]
    for service in app.services:
        for method in contract_of(service.contract).methods.values():
            if method.policy.access in (Access.ANYONE, Access.CALLER):
                assert all(is_matched(rule.path, matches) for rule in method.http), method.full_name
                assert is_matched(method.full_name, matches)
    for path in ("/metrics", "/readyz", "/healthz", "/console", "/console/login", "/docs/x"):
        assert not is_matched(path, matches), path


def is_matched(path: str, matches: list[Manifest]) -> bool:
    return any(
        path == one["value"] if one["type"] == "Exact" else f"{path}/".startswith(f"{one['value']}/") for one in matches
    )


def overlay(mesh: str) -> Path:
    return MANIFESTS / "overlays" / mesh


def settings_of(mesh: str) -> Mapping[str, str]:
    return assignments((overlay(mesh) / "settings.env").read_text())


def settings_of_base() -> Mapping[str, str]:
    return assignments(settings())


def assignments(text: str) -> Mapping[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))


def exported(mesh: str, *options: str) -> dict[tuple[str, str], Manifest]:
    done = run_now("mesh", "export", mesh, "--policy", str(ROOT / "deploy" / "mesh" / f"{mesh}.yaml"), *options)
    assert done.status == 0, done.err
    return by_name(done.out)


@pytest.mark.parametrize("mesh", ["istio", "linkerd"])
def test_the_overlay_of_a_mesh_has_what_is_exported_for_it(mesh: str) -> None:
    assert by_name((overlay(mesh) / "mesh.yaml").read_text()) == exported(mesh)


def test_the_overlay_for_ambient_mode_leaves_the_port_of_metrics_open_beside_what_is_exported() -> None:
    found, ours = by_name((overlay("istio-ambient") / "mesh.yaml").read_text()), exported("istio", "--ambient")
    rest = {name: one["spec"] for name, one in found.items() if name not in ours}
    assert {name: one for name, one in found.items() if name in ours} == ours
    pods = {"matchLabels": {"app.kubernetes.io/part-of": "souk"}}
    port = settings_of_base()["SOUK_METRICS_PORT"]
    assert rest.keys() == {("PeerAuthentication", "metrics"), ("AuthorizationPolicy", "metrics")}
    assert {yaml.safe_dump(one["selector"]) for one in rest.values()} == {yaml.safe_dump(pods)}
    peers, access = rest["PeerAuthentication", "metrics"], rest["AuthorizationPolicy", "metrics"]
    assert (peers["mtls"], peers["portLevelMtls"]) == ({"mode": "STRICT"}, {port: {"mode": "PERMISSIVE"}})
    assert access["rules"] == [{"to": [{"operation": {"ports": [port]}}]}]


def by_name(text: str) -> dict[tuple[str, str], Manifest]:
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text)}


@pytest.mark.parametrize("mesh", ["istio", "istio-ambient", "linkerd"])
def test_processes_in_a_mesh_call_by_the_names_of_the_services_there_and_leave_tries_to_it(mesh: str) -> None:
    given = settings_of(mesh)
    settings = read({**given, "SOUK_HOST": "0.0.0.0"}, services=app.services)
    found = [one for one in yaml.safe_load_all((overlay(mesh) / "mesh.yaml").read_text()) if one["kind"] == "Service"]
    ports = {one["metadata"]["name"]: one["spec"]["ports"][0]["port"] for one in found}
    assert settings.calls.discovery.addresses == {name: (f"{name}:{port}",) for name, port in ports.items()}
    assert ports.keys() == SERVICES.keys()
    assert settings.calls.tls.plain_tcp
    assert settings.calls.hop == "grpc"
    patch = yaml.safe_load((overlay(mesh) / "kustomization.yaml").read_text())["patches"][0]["patch"]
    assert f"mountPath: {Path(given['SOUK_RESILIENCE']).parent}\n" in patch
    protection = read_resilience(overlay(mesh) / "resilience.toml")
    assert {protection.of(name).retry.tries for name in SERVICES} == {1}


def test_linkerds_proxies_may_reach_those_whom_their_services_call() -> None:
    found = yaml.safe_load_all((overlay("linkerd") / "network.yaml").read_text())
    policies = {one["metadata"]["name"]: one["spec"] for one in found}
    pairs = {
        (peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"], name.removesuffix("-mesh"))
        for name, spec in policies.items()
        for rule in spec.get("ingress", ())
        for peer in rule.get("from", ())
    }
    assert pairs == allowed()


def test_in_ambient_mode_calls_go_through_the_waypoint_alone() -> None:
    found = yaml.safe_load_all((overlay("istio-ambient") / "network.yaml").read_text())
    policies = {one["metadata"]["name"]: one["spec"] for one in found}
    waypoint = {"podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": "waypoint"}}}
    ports = [{"protocol": "TCP", "port": 15008}]
    for name in SERVICES:
        assert policies[f"{name}-mesh"]["ingress"] == [{"from": [waypoint], "ports": ports}], name
    callers = {name.removesuffix("-mesh") for name, spec in policies.items() if "egress" in spec}
    assert callers == {caller for caller, _ in allowed()}
    assert all(policies[f"{name}-mesh"]["egress"] == [{"to": [waypoint], "ports": ports}] for name in callers)
