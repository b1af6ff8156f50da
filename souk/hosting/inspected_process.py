"""What operators can see of a process that runs one service, or the gateway."""

from souk.admin.servicers.process import Inspected
from souk.kernel.clock import Clock
from souk.runtime.calls.channels import Calls
from souk.runtime.calls.registration import instance_id
from souk.runtime.config.settings import DiscoverySettings
from souk.telemetry.traffic import Traffic


def inspected_process(
    name: str, calls: Calls, traffic: Traffic, settings: DiscoverySettings, clock: Clock, metrics: str
) -> Inspected:
    """Gathers it; `metrics` is the address at which its metrics are served, or ""."""
    return Inspected(
        service=name,
        instance=instance_id(name, settings),
        breakers=calls.breakers,
        traffic=traffic,
        clock=clock,
        health=calls.health,
        version=settings.version,
        zone=settings.zone,
        weight=settings.weight,
        away=lambda: calls.directory.away,
        metrics_address=metrics,
        spans=calls.spans,
        metrics=calls.registry,
    )
