"""Companions: what stands beside a fleet for something outside the system."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from souk.runtime.config.settings import Settings
from souk.runtime.data.directory import make
from souk.runtime.data.layout import Places
from souk.runtime.process.child_process import Command
from souk.runtime.process.readiness import Readiness, accepts
from souk.runtime.service import Companion


@dataclass(frozen=True, slots=True)
class Placed:
    """A companion, and the path of the socket on which it is to listen."""

    companion: Companion
    socket: Path

    def settings(self, data: Path) -> dict[str, str]:
        """What its service is told: where it is, and what else the service needs to know of it."""
        service, folder = self.companion.service, data / self.companion.service
        told = {self.companion.setting: self.companion.url, **self.companion.settings}
        return {
            f"{service}_{name}".upper(): text.format(socket=self.socket, folder=folder) for name, text in told.items()
        }

    @property
    def readiness(self) -> Readiness:
        """It listens."""
        return accepts(self.socket)

    def command(self, data: Path, environment: Mapping[str, str]) -> Command:
        """How it is started. What it says goes into its log and must not wait in a buffer."""
        folder = make(data / self.companion.service)
        words = (argument.format(socket=self.socket, folder=folder) for argument in self.companion.arguments)
        return Command((sys.executable, *words), {**environment, "PYTHONUNBUFFERED": "1"})


def placed(companions: tuple[Companion, ...], settings: Settings, places: Places) -> list[Placed]:
    """Those that are needed: whose setting does not say where the real thing is."""
    needed = [one for one in companions if one.setting not in settings.services.get(one.service, {})]
    return [Placed(one, places.of(one.name)) for one in needed]
