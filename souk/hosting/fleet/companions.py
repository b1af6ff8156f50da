"""Companions: what stands beside a fleet for something outside the system."""

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from souk.hosting.data_directory import make
from souk.hosting.fleet.child import Command
from souk.hosting.fleet.readiness import Readiness, accepts
from souk.hosting.service import Companion
from souk.hosting.settings import LOOPBACK, Settings


@dataclass(frozen=True, slots=True)
class Placed:
    """A companion, and the port that was found for it."""

    companion: Companion
    port: int

    @property
    def setting(self) -> tuple[str, str]:
        """The name and the value of the setting that says where it is."""
        name = f"{self.companion.service}_{self.companion.setting}".upper()
        return name, self.companion.url.format(port=self.port)

    @property
    def readiness(self) -> Readiness:
        """It listens."""
        return accepts(LOOPBACK, self.port)

    def command(self, data: Path, environment: Mapping[str, str]) -> Command:
        """How it is started. What it says goes into its log and must not wait in a buffer."""
        folder = make(data / self.companion.service)
        words = (argument.format(port=self.port, folder=folder) for argument in self.companion.arguments)
        return Command((sys.executable, *words), {**environment, "PYTHONUNBUFFERED": "1"})


def placed(companions: tuple[Companion, ...], settings: Settings) -> list[Placed]:
    """Those that are needed: whose setting does not say where the real thing is."""
    return [Placed(one, free_port()) for one in companions if one.setting not in settings.services.get(one.service, {})]


def free_port() -> int:
    """A port of this machine that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
