"""Discovery's numbers for Prometheus."""

from prometheus_client import CollectorRegistry

from souk.discovery.directory import Directory
from souk.telemetry.metrics import measure


def measure_directory(registry: CollectorRegistry, directory: Directory) -> None:
    """Registers how many instances are known of each service, and whether the registry is away."""
    measure(
        registry,
        "souk_discovery_instances",
        "Instances of a service that can be called, as far as is known",
        ("service",),
        lambda: [({"service": service}, float(count)) for service, count in directory.counts().items()],
    )
    measure(
        registry,
        "souk_discovery_registry_away",
        "1 while the registry cannot be reached and the instances known last stay in use",
        (),
        lambda: [({}, 1.0 if directory.away else 0.0)],
    )
