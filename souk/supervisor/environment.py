"""The variables that a process of the fleet is started with. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from souk.runtime.config.settings import LOOPBACK, PREFIX, Settings

DECIDED_HERE = frozenset(
    PREFIX + name
    for name in (
        "ADDRESSES", "COMMANDS", "CONTROL", "DATA", "DEMO", "DRAIN", "HOST", "INSTANCE", "LISTEN_FD", "LOG_FILE",
        "METRICS_PORT", "PORT", "POSTGRES", "POSTGRES_POOL", "POSTGRES_USER", "REDIS", "REGISTRY", "SCALE", "TOPOLOGY",
    )
)  # fmt: skip
"""Settings of the whole system; each of its processes is told what they mean for it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every process of a fleet is told.

    `inherited` are the supervisor's own variables. `given` are settings of services, by name, that stand
    for companions.
    """

    inherited: Mapping[str, str] = field(repr=False)
    settings: Settings = field(repr=False)
    data: Path
    registry: str = field(repr=False)
    redis: str = field(repr=False)
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def where_services_listen(self) -> Mapping[str, str]:
        """At sockets, unless the registry is one that other machines read: then at ports of loopback."""
        return {} if self.registry.startswith("unix:") else {"HOST": LOOPBACK}

    def of(self, instance: str, control: Path, own: Mapping[str, str]) -> dict[str, str]:
        """The variables of one process; `own` are settings, by name, that it alone has."""
        kept = {name: text for name, text in self.inherited.items() if name not in DECIDED_HERE}
        told = {
            "DATA": str(self.data),
            "REGISTRY": self.registry,
            "REDIS": self.redis,
            "INSTANCE": instance,
            "CONTROL": str(control),
            "DRAIN": f"{self.settings.drain:g}",
            "DEMO": "true" if self.settings.demo else "false",
            **self.given,
            **own,
        }
        if self.settings.metrics_port is not None:
            told["METRICS_PORT"] = "0"  # one port cannot be everybody's; `souk ps --json` tells where each is
        return {**kept, **{PREFIX + name: text for name, text in told.items()}}
