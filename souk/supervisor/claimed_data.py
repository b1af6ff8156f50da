"""Checks that a data directory is a fleet's own: by its manifest, and that its PostgreSQL's data is the original.

DATA/fleet/souk.running names the inode of a file of PostgreSQL's data while the fleet runs. After a kill that is
still the inode of the file; in a copy of a running fleet the file has another.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import DataSettings
from souk.runtime.data import manifest
from souk.runtime.data.database_file import MARKER, mark, require_complete, require_original
from souk.runtime.data.layout import DataLayout
from souk.runtime.data.postgres_version import data_version
from souk.telemetry.logs import logger

_log = logger("fleet")


@dataclass(frozen=True, slots=True)
class ClaimedData:
    """A data directory that fits the fleet that starts on it."""

    data: Path
    original: Path | None
    marker: Path

    def opened(self, services: Iterable[str]) -> None:
        """Records which services have databases. If that fails, as on a full disk, it only logs a warning."""
        try:
            manifest.record(self.data, services)
            if self.original is not None:
                mark(self.original, self.marker)
        except (ConfigurationError, OSError) as error:
            _log.warning("the start could not be recorded in the data directory", error=str(error))


@contextmanager
def claimed(layout: DataLayout, settings: DataSettings) -> Iterator[ClaimedData]:
    """Checks the directory, which this process must hold, and writes its manifest.

    Raises ConfigurationError, in one line, when it holds another kind of system, lacks files, or is a copy of a
    running system.
    """
    own = settings.postgres is None
    require_complete(layout.data)
    kept = manifest.claim(layout.data, manifest.FLEET, manifest.OWN if own else manifest.GIVEN)
    original, marker = layout.postgres / "PG_VERSION", layout.processes.parent / MARKER
    if own:
        if kept.services and data_version(layout.postgres) is None:
            raise ConfigurationError(
                f"{layout.data} is not whole: {layout.postgres} is missing, and a new one would be empty; "
                "bring it back, or restore a backup with `souk restore`"
            )
        require_original(original, marker)
    try:
        yield ClaimedData(layout.data, original if own else None, marker)
    finally:
        with suppress(OSError):
            marker.unlink(missing_ok=True)
