"""Checks that a data directory is a fleet's own: by its manifest, and that the data of its engines is there; that of
PostgreSQL must be the original.

DATA/fleet/souk.running names the inode of a file of PostgreSQL's data while the fleet runs. After a kill that is
still the inode of the file; in a copy of a running fleet the file has another.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from souk.backing import valkey
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import Settings
from souk.runtime.data import manifest
from souk.runtime.data.database_file import MARKER, mark, require_complete, require_original
from souk.runtime.data.layout import DataLayout
from souk.runtime.data.postgres_version import data_version
from souk.telemetry.logs import logger

_log = logger("fleet")


@dataclass(frozen=True, slots=True)
class ClaimedData:
    """A data directory that fits the fleet that starts on it."""

    layout: DataLayout
    original: Path | None
    marker: Path
    bus: bool

    def opened(self, services: Iterable[str]) -> None:
        """Records which services have databases, and removes a bus that is used no more and has nothing to deliver.

        If that fails, as on a full disk, it only logs a warning.
        """
        try:
            manifest.record(self.layout.data, services, bus=self.bus)
            if not self.bus and valkey.keeps_data(self.layout.bus):
                shutil.rmtree(self.layout.bus)
            if self.original is not None:
                mark(self.original, self.marker)
        except (ConfigurationError, OSError) as error:
            _log.warning("the start could not be recorded in the data directory", error=str(error))


@contextmanager
def claimed(layout: DataLayout, settings: Settings) -> Iterator[ClaimedData]:
    """Checks the directory, which this process must hold, and writes its manifest.

    Raises ConfigurationError, in one line, when it holds another kind of system, lacks files, or is a copy of a
    running system.
    """
    own, bus = settings.data.postgres is None, settings.events.broker is None
    require_complete(layout.data)
    kept = manifest.claim(layout.data, manifest.FLEET, manifest.OWN if own else manifest.GIVEN)
    original, marker = layout.postgres / "PG_VERSION", layout.processes.parent / MARKER
    if own:
        if kept.services and data_version(layout.postgres) is None:
            raise ConfigurationError(_not_whole(layout.data, layout.postgres))
        require_original(original, marker)
    if kept.bus and not valkey.keeps_data(layout.bus):
        raise ConfigurationError(_not_whole(layout.data, layout.bus))
    try:
        yield ClaimedData(layout, original if own else None, marker, bus)
    finally:
        with suppress(OSError):
            marker.unlink(missing_ok=True)


def _not_whole(data: Path, missing: Path) -> str:
    return (
        f"{data} is not whole: {missing} is missing, and a new one would be empty; bring it back, or restore a "
        "backup with `souk restore`"
    )
