"""The record of a backup: BACKUP/backup.json, with a digest of every file."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError
from souk.runtime.data import manifest
from souk.runtime.data.manifest import Manifest

FILE = "backup.json"
FORMAT = 1
BUS = "bus"
"""The folder of a backup with the streams of the bus."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """The content of backup.json.

    `manifest` is that of the data directory; `files` maps paths in the backup to digest and size in octets.
    `made_at` is the instant that was copied, in UTC; writers waited for `waited` seconds.
    """

    manifest: Manifest
    made_at: str
    waited: float
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def octets(self) -> int:
        """The size of all files, in octets."""
        return sum(int(one["octets"]) for one in self.files.values())


def described(path: Path) -> dict[str, Any]:
    """Gives the digest and the size of a file."""
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "octets": path.stat().st_size}


def write(backup: Path, record: BackupRecord) -> None:
    """Writes the record; must be called last, because a backup without a record is not complete."""
    private_files.replace(backup / FILE, json.dumps(asdict(record), indent=1).encode())


def read(backup: Path) -> BackupRecord:
    """Reads the record of a backup.

    Raises ConfigurationError when it is not a backup, is damaged, or was made by a newer version.
    """
    try:
        document = json.loads((backup / FILE).read_text())
        kept = manifest.parsed(document.pop("manifest"))
        found = _parsed(kept, document)
    except FileNotFoundError:
        raise ConfigurationError(f"{backup} is not a backup: it has no {FILE}") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise ConfigurationError(f"the backup {backup} is damaged: {FILE} cannot be read") from None
    if found.format > FORMAT or manifest.is_newer(kept):
        raise ConfigurationError(
            f"the backup {backup} was made by Souk {kept.souk}, which is newer than this program "
            f"({manifest.PROGRAM}); install Souk {kept.souk}"
        )
    return found


def write_stream(backup: Path, name: str, copy: bytes) -> None:
    """Writes the copy of a stream of the bus."""
    path = backup / BUS / f"{quote(name, safe='')}.dump"
    path.parent.mkdir(exist_ok=True, mode=0o700)
    private_files.create_empty(path)
    path.write_bytes(copy)


def streams(backup: Path) -> dict[str, bytes]:
    """Reads the copies of the streams of the bus, by name."""
    return {unquote(path.stem): path.read_bytes() for path in sorted((backup / BUS).glob("*.dump"))}


def _parsed(kept: Manifest, document: dict[str, Any]) -> BackupRecord:
    files = {
        str(name): {"sha256": str(one["sha256"]), "octets": int(one["octets"])}
        for name, one in document["files"].items()
    }
    return BackupRecord(kept, str(document["made_at"]), float(document["waited"]), files, int(document["format"]))


def check(backup: Path, record: BackupRecord, progress: Callable[[str], None]) -> None:
    """Checks the files of a backup. Raises ConfigurationError, naming the first that is missing, changed or extra."""
    there = {str(path.relative_to(backup)) for path in backup.rglob("*") if path.is_file()} - {FILE}
    for name in sorted(there - record.files.keys()):
        raise ConfigurationError(f"the backup {backup} is damaged: {name} does not belong to it")
    for name, known in record.files.items():
        if name not in there:
            raise ConfigurationError(f"the backup {backup} is damaged: {name} is missing")
        if described(backup / name) != known:
            raise ConfigurationError(f"the backup {backup} is damaged: {name} is not as it was written")
    progress(f"{len(record.files)} files are as they were written")
