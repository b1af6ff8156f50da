"""Clusters: the instances of a service behind mutual TLS, and the application behind its own sidecar.

A service has a cluster of its own, one for each version that its rules name, and one for each method that has limits
of its own. Their instances come by discovery: of the service without its canary, or of one version of it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from souk.discovery.registry import Instance
from souk.mesh.envoy.parts import ADS, BOUNDLESS, Part, address, duration, extension, typed
from souk.mesh.policy.policy import CallLimits, Ejection, ServiceRules, TryBudget

APPLICATION = "application"
"""The cluster of the application that a sidecar stands beside."""
OWN_CERTIFICATE, TRUSTED_ROOTS = "workload", "roots"
"""The names of the secrets: the sidecar's own certificate and key, and the roots that it trusts."""
CONNECT_LIMIT = 1.0
"""Seconds that a connection may take."""
WARM_UP = 5.0
"""Seconds in which a new instance comes to its full share of calls."""
_ENOUGH = 0.5
"""The part of the instances of the own zone that must be there for it to take all calls, if the rules say nothing."""

_EVERY_CALL = 100.0
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TLS = "envoy.transport_sockets.tls"


def version_name(service: str, version: str) -> str:
    """Gives the name of the cluster, and of the endpoints, of one version of a service."""
    return f"{service}@{version}" if version else service


def method_name(service: str, path: str) -> str:
    """Gives the name of the cluster of a method that has limits of its own."""
    return f"{service}{path}"


def callee_clusters(service: str, rules: ServiceRules, spiffe_id: str) -> Iterator[dict[str, Any]]:
    """Makes the clusters of a service, whose instances must show a certificate of `spiffe_id`."""
    for version in ("", *rules.versions):
        name = version_name(service, version)
        yield _callee(name, name, service, rules, rules.limits, spiffe_id)
    for path, method in rules.methods.items():
        if method.limits is not None:
            yield _callee(method_name(service, path), service, service, rules, method.limits, spiffe_id)


def callee_names(service: str, rules: ServiceRules) -> tuple[frozenset[str], frozenset[str]]:
    """Gives the names of the clusters of a service, and those of their endpoints."""
    endpoints = frozenset(version_name(service, version) for version in ("", *rules.versions))
    methods = (method_name(service, path) for path, method in rules.methods.items() if method.limits is not None)
    return endpoints.union(methods), endpoints


def application_cluster(at: str) -> dict[str, Any]:
    """Makes the cluster of the application at an address, which takes gRPC without TLS. The caller's sidecar limits and
    tries again; whatever arrives here goes on."""
    return {
        "name": APPLICATION,
        "type": "STATIC",
        "connect_timeout": duration(CONNECT_LIMIT),
        "load_assignment": {
            "cluster_name": APPLICATION,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(at)}}]}],
        },
        "circuit_breakers": {"thresholds": [_thresholds(None, None)]},
        "typed_extension_protocol_options": _http2(),
    }


def load_assignments(
    service: str, rules: ServiceRules, instances: Iterable[Instance], zone: str = ""
) -> Iterator[dict[str, Any]]:
    """Makes the endpoints of a service, and of its versions, for the sidecars of a zone.

    Where the rules have it, instances of the same zone are preferred as long as enough of them can be called; empty is
    no zone.
    """
    known = sorted(instances, key=lambda instance: instance.id)
    prefers = rules.locality is not None and bool(zone)
    enough = _ENOUGH if rules.locality is None or rules.locality.enough is None else rules.locality.enough
    for version in ("", *rules.versions):
        found = [one for one in known if _takes(one, version, rules)]
        if not found and not version and _is_becoming_the_baseline(rules):
            found = known
        yield _load_assignment(version_name(service, version), found, zone if prefers else "", enough)


def tls_context(matcher: Part) -> dict[str, Any]:
    """Makes the TLS context of either side: the sidecar's own certificate, and a peer whose SPIFFE id matches."""
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": ["h2"],
        "tls_certificate_sds_secret_configs": [{"name": OWN_CERTIFICATE, "sds_config": ADS}],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": matcher}]},
            "validation_context_sds_secret_config": {"name": TRUSTED_ROOTS, "sds_config": ADS},
        },
    }


def _callee(
    name: str, endpoints: str, service: str, rules: ServiceRules, limits: CallLimits | None, spiffe_id: str
) -> dict[str, Any]:
    tls = extension(
        _TLS,
        "transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context=tls_context({"exact": spiffe_id}),
        sni=service,
        max_session_keys=0,  # a resumed session proves no certificate: the callee would refuse each of its calls
    )
    ejection = {} if rules.ejection is None else {"outlier_detection": _outlier_detection(rules.ejection)}
    return dict(
        name=name,
        type="EDS",
        eds_cluster_config={"eds_config": ADS, "service_name": endpoints},
        connect_timeout=duration(CONNECT_LIMIT),
        lb_policy="LEAST_REQUEST",
        least_request_lb_config={"slow_start_config": {"slow_start_window": duration(WARM_UP)}},
        circuit_breakers={"thresholds": [_thresholds(limits, rules.budget)]},
        typed_extension_protocol_options=_http2(),
        transport_socket=tls,
        # An instance that has left gets no calls, whatever its health was.
        ignore_health_on_host_removal=True,
        **ejection,
    )


def _load_assignment(name: str, instances: Iterable[Instance], zone: str, enough: float) -> dict[str, Any]:
    near: list[Part] = []
    far: list[Part] = []
    for one in instances:
        (near if not zone or one.zone == zone else far).append(_endpoint(one))
    levels = [{"lb_endpoints": found, "priority": at} for at, found in enumerate(filter(None, (near, far)))]
    return {
        "cluster_name": name,
        "endpoints": levels,
        "policy": {"overprovisioning_factor": round(100 / enough)},
    }


def _takes(one: Instance, version: str, rules: ServiceRules) -> bool:
    """Whether an instance takes calls of the cluster of a version; without one, of the service's own, which a canary
    is not part of."""
    if version:
        return one.version == version
    return rules.canary is None or one.version != rules.canary.version


def _is_becoming_the_baseline(rules: ServiceRules) -> bool:
    """Whether a canary answers for a baseline without instances: one that takes every call. Another one would get calls
    before it is to have any, and they would count as the baseline's."""
    return rules.canary is not None and rules.canary.percent >= _EVERY_CALL


def _endpoint(one: Instance) -> Part:
    return {"endpoint": {"address": address(one.address)}, "load_balancing_weight": one.weight}


def _thresholds(limits: CallLimits | None, budget: TryBudget | None) -> Part:
    known = CallLimits(None, None, None) if limits is None else limits
    retries: Part = {"max_retries": BOUNDLESS}
    if budget is not None:
        percent = {"value": 100 * budget.share}
        retries = {"retry_budget": {"budget_percent": percent, "min_retry_concurrency": budget.minimum}}
    return {
        "max_connections": known.connections or BOUNDLESS,
        "max_pending_requests": BOUNDLESS if known.pending is None else known.pending,
        "max_requests": known.requests or BOUNDLESS,
        "track_remaining": True,
        **retries,
    }


def _outlier_detection(rules: Ejection) -> Part:
    return {
        "consecutive_5xx": rules.failures,
        "enforcing_consecutive_gateway_failure": 0,  # each of them is one of these already
        "enforcing_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": duration(rules.ejected_for),
        "max_ejection_time": duration(rules.longest),
        "max_ejection_percent": round(100 * rules.most),
    }


def _http2() -> Part:
    return {_HTTP: typed(_HTTP.removeprefix("envoy."), explicit_http_config={"http2_protocol_options": {}})}
