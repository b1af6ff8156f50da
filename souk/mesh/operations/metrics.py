"""Metrics of a control plane: its sidecars, what it sends them and what they reject, and when certificates expire."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry

from souk.mesh.control_plane import ControlPlane
from souk.mesh.xds.observer import ExchangeObserver
from souk.mesh.xds.subscription import Rejection
from souk.telemetry.latencies import Latencies
from souk.telemetry.metrics import Sample, counter, measure


class MeshMetrics(ExchangeObserver):
    """Shows a control plane in `registry`; counts what happens from its making on."""

    def __init__(self, plane: ControlPlane, registry: CollectorRegistry) -> None:
        self._plane = plane
        self._sent = counter("souk_mesh_responses", "Responses sent to sidecars, by type of resource.", ("type",))
        self._rejected = counter(
            "souk_mesh_rejections", "Versions of resources that sidecars rejected, by type of resource.", ("type",)
        )
        text = "Time until a sidecar accepted or rejected a response, by type of resource."
        self._answered = Latencies(registry, "souk_mesh_acknowledgement_seconds", text, ("type",))
        for collector in (self._sent, self._rejected):
            registry.register(collector)
        measure(registry, "souk_mesh_sidecars", "Sidecars that are connected, or were.", ("state",), self._sidecars)
        measure(
            registry, "souk_mesh_rejected_resources", "Resources of which a sidecar has rejected the newest version.",
            ("name",), self._outstanding,
        )  # fmt: skip
        measure(
            registry, "souk_mesh_certificate_expiry_timestamp_seconds",
            "When the certificate of a sidecar, of the intermediate, or of a trusted root expires, as a Unix time.",
            ("kind", "name"), self._expiries,
        )  # fmt: skip
        measure(
            registry, "souk_mesh_renewal_failures", "1 for a workload, or the authority, that cannot be renewed.",
            ("name",), self._failures,
        )  # fmt: skip
        measure(registry, "souk_mesh_policy_revision", "The number of the policy in force.", (), self._revision)

    def sent(self, type_url: str) -> None:
        self._sent.labels(_short(type_url)).inc()

    def answered(self, type_url: str, seconds: float) -> None:
        self._answered.labels(_short(type_url)).observe(seconds)

    def rejected(self, node: str, type_url: str, rejection: Rejection) -> None:
        self._rejected.labels(_short(type_url)).inc()

    def _sidecars(self) -> Iterator[Sample]:
        connected = len(self._plane.server.connected & self._plane.workloads.keys())
        yield {"state": "connected"}, float(connected)
        yield {"state": "gone"}, float(len(self._plane.workloads) - connected)

    def _outstanding(self) -> Iterator[Sample]:
        for instance in self._plane.workloads:
            types = self._plane.server.acknowledgements(instance).values()
            yield {"name": instance}, float(sum(len(one.rejections) for one in types))

    def _expiries(self) -> Iterator[Sample]:
        report = self._plane.identities()
        yield {"kind": "intermediate", "name": ""}, float(report.intermediate.ends)
        for root in report.roots:
            yield {"kind": "root", "name": root.id}, float(root.span.ends)
        for one in report.workloads:
            if one.span is not None:
                yield {"kind": "workload", "name": one.workload.instance}, float(one.span.ends)

    def _failures(self) -> Iterator[Sample]:
        report = self._plane.identities()
        yield {"name": "authority"}, float(report.failure is not None)
        for one in report.workloads:
            yield {"name": one.workload.instance}, float(one.failure is not None)

    def _revision(self) -> Iterator[Sample]:
        yield {}, float(self._plane.policy.revision)


def _short(type_url: str) -> str:
    return type_url.rpartition(".")[2]
