"""What each sidecar is to have: from the rules, the instances and the certificates of a moment to snapshots.

Sidecars share what is the same for them: the clusters and the endpoints of a callee are one group for all that may
call it from the same zone, the routes are one group for all instances of a caller, who may call is one
for all instances of a callee, and the roots are one for all.
"""

from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from souk.discovery.registry import Instance, is_address
from souk.gateway.settings import GATEWAY_SERVICE
from souk.mesh.envoy.access import access_rules
from souk.mesh.envoy.applications import RULES as APPLICATION_RULES
from souk.mesh.envoy.applications import (
    application_host,
    callee_application_cluster,
    inbound_application_routes,
    own_application_cluster,
)
from souk.mesh.envoy.clusters import APPLICATION as APPLICATION_CLUSTER
from souk.mesh.envoy.clusters import (
    OWN_CERTIFICATE,
    TRUSTED_ROOTS,
    application_cluster,
    callee_clusters,
    callee_names,
    load_assignments,
)
from souk.mesh.envoy.listeners import INBOUND, inbound_listener, inbound_routes, outbound_listener
from souk.mesh.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, resource
from souk.mesh.envoy.routes import CalleeRoutes, outbound_routes
from souk.mesh.envoy.secrets import certificate_secret, roots_secret
from souk.mesh.envoy.trace_variables import SpanReceiver
from souk.mesh.envoy.tracing import traced, traces_cluster
from souk.mesh.identity.authority import WorkloadCertificate
from souk.mesh.identity.refusals import DeniedNames
from souk.mesh.identity.spiffe import Workload, service_id, trust_domain_id
from souk.mesh.policy.methods import methods_of
from souk.mesh.policy.policy import CanarySplit, MeshPolicy, ServiceRules
from souk.mesh.policy.who_may_call import WhoMayCall, application_callers
from souk.mesh.xds.snapshot import Changes, ResourceGroup, ResourceSnapshot
from souk.runtime.calls.registration import APPLICATION
from souk.runtime.service import Service
from souk.telemetry.logs import logger

_log = logger("mesh")


@dataclass(frozen=True, slots=True)
class SidecarAddresses:
    """Where a sidecar takes the calls of its application (`outbound`), and those of others; empty for one that takes
    none, such as a gateway's. `application` is where an adopted application listens, whose sidecar knows it; those of
    services are in the registry. `token` proves whose it is when it reports tries."""

    outbound: str
    inbound: str = ""
    zone: str = ""
    application: str = ""
    token: str = field(default="", repr=False)


class MeshConfiguration:
    """Makes the snapshots of sidecars. `update` and `apply` replace what they are made from.

    `services` are all services of the system, `allowed` says who may call what, and `trust_domain` whose certificates
    count. `spans` is what takes the spans of sidecars; None if they record none.
    """

    def __init__(
        self,
        services: Sequence[Service],
        policy: MeshPolicy,
        allowed: WhoMayCall,
        trust_domain: str,
        spans: SpanReceiver | None = None,
    ) -> None:
        self._spans = spans
        self._services = {service.name: service for service in services}
        self._policy, self._allowed, self._trust_domain = policy, allowed, trust_domain
        self._callers = {name: allowed.callers_of(name) for name in self._services}
        self._adopted: frozenset[str] = frozenset()
        self._instances: dict[str, tuple[Instance, ...]] = {}
        self._applications: dict[str, dict[str, str]] = {}
        self._callees: dict[tuple[str, str], ResourceGroup] = {}
        self._routes: dict[str, ResourceGroup] = {}
        self._canaries: dict[str, CanarySplit] = {}
        self._own: dict[tuple[str, Workload | str], tuple[Hashable, ResourceGroup]] = {}
        self._roots: tuple[str, ResourceGroup] = ("", ResourceGroup())

    def update(self, service: str, instances: tuple[Instance, ...], denied: Container[str] = ()) -> None:
        """Takes note of the instances of a service; before the first time sidecars keep what they have of them. The
        sidecar of one that has left goes on to pass calls to its application, for callers that do not know of it yet,
        unless the instance is one of those `denied`."""
        had_canary = self._has_canary(service)
        self._instances[service] = instances
        if self._has_canary(service) != had_canary:
            self._routes = {}
        left = {id_: at for id_, at in self._applications.get(service, {}).items() if id_ not in denied}
        self._applications[service] = left | {one.id: _application(one) for one in instances}
        self._forget_callee(service)

    def adopt(self, applications: frozenset[str]) -> None:
        """Replaces the adopted applications by those of these names; `update` gives their instances."""
        for gone in self._adopted - applications:
            self._callers.pop(gone)
            self._instances.pop(gone, None)
        for new in applications - self._adopted:
            self._callers[new] = self._callers_of(new)
        self._adopted, self._routes = applications, {}
        self._callees = {key: group for key, group in self._callees.items() if key[0] in self._callers}

    def apply(self, policy: MeshPolicy) -> None:
        """Replaces the rules."""
        self._policy = policy
        self._callees, self._routes = {}, {}

    def split(self, service: str, canary: CanarySplit | None) -> None:
        """Replaces the canary of a service; None ends it. Other rules stay, also when they are replaced later.

        Where the rules themselves split the service's calls, the canary's counts until it ends.
        """
        if canary is None:
            self._canaries.pop(service, None)
        else:
            self._canaries[service] = canary
        self._routes = {}
        self._forget_callee(service)

    def _forget_callee(self, service: str) -> None:
        """Has the clusters and endpoints of a service made anew; what is the same afterwards is not sent again."""
        self._callees = {key: group for key, group in self._callees.items() if key[0] != service}

    def rules(self, service: str) -> ServiceRules:
        """Gives the rules of a service, with its canary."""
        rules = self._policy.services[service]
        return replace(rules, canary=self._canaries[service]) if service in self._canaries else rules

    def instances(self, service: str, version: str) -> int:
        """Counts the instances of a version of a service."""
        return sum(one.version == version for one in self._instances.get(service, ()))

    def unknown(self) -> list[str]:
        """Gives the services of whose instances nothing is known yet."""
        return [name for name in self._callers if name not in self._instances]

    def _has_canary(self, service: str) -> bool:
        canary = self._canaries.get(service)
        if canary is None:
            return False
        return service not in self._instances or self.instances(service, canary.version) > 0

    def snapshot(
        self,
        workload: Workload,
        at: SidecarAddresses,
        certificate: WorkloadCertificate | None,
        bundle: str,
        denied: DeniedNames,
    ) -> ResourceSnapshot:
        """Makes the snapshot of the sidecar of a workload; without a `certificate` it can reach nobody."""
        called = self._called_by(workload.service)
        return ResourceSnapshot(
            *(self._callee(name, at.zone) for name in called if name in self._instances),
            self._routes_of(workload.service, called),
            self._listeners(workload, at),
            self._access(workload.service, denied),
            self._trusted(bundle),
            self._kept("certificate", workload, certificate, lambda: _certificate(certificate)),
            withheld=self._withheld(workload.service, at, called),
        )

    def _withheld(self, service: str, at: SidecarAddresses, called: Sequence[str]) -> Changes:
        """Gives what of a service's sidecars depends on instances of which nothing is known yet."""
        unknown = self.unknown()
        own = service in unknown and not at.application
        clusters, endpoints = {APPLICATION_CLUSTER} if own else set[str](), set[str]()
        for name in unknown:
            if name in called:
                found = callee_names(name, APPLICATION_RULES if name in self._adopted else self.rules(name))
                clusters |= found[0]
                endpoints |= found[1]
        listeners = frozenset({INBOUND} if own else ())
        return {CLUSTER: frozenset(clusters), ENDPOINTS: frozenset(endpoints), LISTENER: listeners}

    def concerned(self, service: str) -> frozenset[str]:
        """Gives the services whose sidecars have something of the instances of a service: its callers, and itself."""
        return self._callers.get(service, self._callers_of(service)) | {service}

    def forget(self, workload: Workload) -> None:
        """Forgets what is kept for the sidecar of a workload."""
        self._own = {key: kept for key, kept in self._own.items() if key[1] != workload}
        if workload.instance not in {one.id for one in self._instances.get(workload.service, ())}:
            self._applications.get(workload.service, {}).pop(workload.instance, None)

    def _called_by(self, service: str) -> list[str]:
        return [name for name in sorted(self._callers) if service in self._callers[name]]

    def _callee(self, name: str, zone: str) -> ResourceGroup:
        found = self._callees.get((name, zone))
        if found is None:
            id_, adopted = service_id(self._trust_domain, name), name in self._adopted
            rules = APPLICATION_RULES if adopted else self.rules(name)
            clusters = [callee_application_cluster(name, id_)] if adopted else callee_clusters(name, rules, id_)
            endpoints = load_assignments(name, rules, self._instances[name], zone)
            found = self._callees[name, zone] = ResourceGroup(
                [
                    *(resource(CLUSTER, one) for one in clusters),
                    *(resource(ENDPOINTS, one) for one in endpoints),
                ]
            )
        return found

    def _routes_of(self, service: str, called: Sequence[str]) -> ResourceGroup:
        found = self._routes.get(service)
        if found is None:
            callees = [self._callee_routes(name) for name in called if name not in self._adopted]
            hosts = [application_host(name) for name in called if name in self._adopted]
            found = self._routes[service] = ResourceGroup([resource(ROUTES, outbound_routes(callees, hosts))])
        return found

    def _callee_routes(self, name: str) -> CalleeRoutes:
        methods = methods_of(self._services[name])
        idempotent = frozenset(path for path, method in methods.items() if method.idempotent)
        copied = frozenset(path for path, method in methods.items() if method.read_only and method.unary)
        return CalleeRoutes(name, self.rules(name), idempotent, copied, self._has_canary(name))

    def _listeners(self, workload: Workload, at: SidecarAddresses) -> ResourceGroup:
        known = self._applications.get(workload.service, {}) if at.inbound else {}
        application = at.application or known.get(workload.instance, "")

        def make() -> ResourceGroup:
            tracing = traced(self._spans, workload.service, each_try=True)
            made = [resource(LISTENER, outbound_listener(at.outbound, at.token, tracing))]
            if self._spans is not None:
                made.append(resource(CLUSTER, traces_cluster(self._spans)))
            if application and workload.service != GATEWAY_SERVICE:
                tracing = traced(self._spans, workload.service, each_try=False)
                callers, any_http = f"{trust_domain_id(self._trust_domain)}/", workload.service not in self._services
                listener = inbound_listener(at.inbound, callers, tracing, any_http=any_http)
                cluster = (own_application_cluster if any_http else application_cluster)(application)
                made += [resource(CLUSTER, cluster), resource(LISTENER, listener)]
            return ResourceGroup(made)

        return self._kept("listeners", workload, (at, application), make)

    def _access(self, service: str, denied: DeniedNames) -> ResourceGroup:
        if service == GATEWAY_SERVICE:
            return ResourceGroup()

        def make() -> ResourceGroup:
            routes = inbound_routes if service in self._services else inbound_application_routes
            return ResourceGroup([resource(ROUTES, routes(access_rules(self._ids(service), denied)))])

        return self._kept("access", service, denied, make)

    def _trusted(self, bundle: str) -> ResourceGroup:
        if self._roots[0] != bundle:
            self._roots = (bundle, ResourceGroup([resource(SECRET, roots_secret(TRUSTED_ROOTS, bundle))]))
        return self._roots[1]

    def _kept(self, what: str, owner: Workload | str, of: Hashable, make: Callable[[], ResourceGroup]) -> ResourceGroup:
        """Gives what was made before for a workload or a service if it was made `of` the same, or makes it."""
        kept = self._own.get((what, owner))
        if kept is None or kept[0] != of:
            kept = self._own[what, owner] = (of, make())
        return kept[1]

    def _callers_of(self, application: str) -> frozenset[str]:
        reasons = application_callers(application, self._services.values())
        return frozenset(caller for callers in reasons.values() for caller in callers)

    def _ids(self, service: str) -> Mapping[str, list[str]]:
        services = self._services
        methods = (
            self._allowed.services[service] if service in services else application_callers(service, services.values())
        )
        return {path: [service_id(self._trust_domain, one) for one in callers] for path, callers in methods.items()}


def _application(one: Instance) -> str:
    """Gives the address of an instance's application; empty, so that its sidecar takes no calls, if it says none."""
    named = one.metadata.get(APPLICATION, "")
    if not named or is_address(named):
        return named
    _log.warning("an instance names an address of its application that is none", instance=one.id, address=named)
    return ""


def _certificate(certificate: WorkloadCertificate | None) -> ResourceGroup:
    if certificate is None:
        return ResourceGroup()
    return ResourceGroup([resource(SECRET, certificate_secret(OWN_CERTIFICATE, certificate))])
