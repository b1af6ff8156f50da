"""The manifest of a data directory: DATA/souk.json, written atomically and readable by its owner alone.

    {"format": 1, "souk": "0.1.0", "topology": "monolith", "databases": "files",
     "services": {"order": 3, ...}, "bus": true, "installation": "5f0c..."}

`databases` is where the databases are: `files` in the directory, `own` for a PostgreSQL that a fleet keeps in it,
or `given` for a server elsewhere. `services` names the services that have a database, with the number of its latest
opening. `bus` is whether events go through a bus that a fleet keeps in the directory. A start that does not fit the
manifest is refused, with the command that would. A directory from before manifests is recognised by the files in it.
"""

import fcntl
import json
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError
from souk.runtime.data.directory import unusable
from souk.runtime.data.postgres_version import data_version
from souk.telemetry.logs import logger

FORMAT = 1
FILE = "souk.json"
MONOLITH, FLEET = "monolith", "fleet"
FILES, OWN, GIVEN = "files", "own", "given"
ON_A_SERVER = frozenset({OWN, GIVEN})
"""The values of `databases` that a process of a fleet accepts: it cannot tell the two apart."""
PROGRAM = version("souk-platform")
_ROLE = "souk_"
_log = logger("hosting")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a data directory. `services` counts how often the database of each was opened."""

    topology: str
    databases: str
    services: Mapping[str, int] = field(default_factory=dict)
    bus: bool = False
    installation: str = ""
    souk: str = PROGRAM
    format: int = FORMAT


def read(data: Path) -> Manifest | None:
    """Reads the manifest of a directory; None without one.

    Raises ConfigurationError for a damaged manifest, and for one that a newer version wrote.
    """
    path = data / FILE
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unusable(data, error) from None
    try:
        found = parsed(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ConfigurationError(f"{path} is damaged; bring it back from a backup, with all of {data}") from None
    if is_newer(found):
        raise ConfigurationError(
            f"the data in {data} was written by Souk {found.souk}, which is newer than this program ({PROGRAM}); "
            f"install Souk {found.souk}, or restore a backup that is not newer"
        )
    return found


def is_newer(manifest: Manifest) -> bool:
    """Tells whether a newer program wrote a manifest."""
    return manifest.format > FORMAT or _release(manifest.souk) > _release(PROGRAM)


def parsed(document: Any) -> Manifest:
    """Makes a manifest of a JSON document. Raises ValueError, TypeError, KeyError or AttributeError if it is none."""
    services = {str(name): int(number) for name, number in document.get("services", {}).items()}
    words = {name: str(document[name]) for name in ("topology", "databases", "installation", "souk")}
    return Manifest(services=services, bus=document.get("bus", False) is True, format=int(document["format"]), **words)


def _release(text: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def write(data: Path, manifest: Manifest) -> None:
    """Writes the manifest atomically. Raises ConfigurationError when the directory cannot be written."""
    try:
        private_files.replace(data / FILE, json.dumps(asdict(manifest), indent=2).encode())
    except OSError as error:
        raise unusable(data, error) from None


def recognised(data: Path, topology: str = "") -> Manifest | None:
    """Makes the manifest of a directory that has none from its files; None if there is no data.

    A directory may hold two systems: then the one of `topology` is meant.
    """
    fleet = OWN if data_version(data / "postgres") is not None else GIVEN
    found = []
    if files := {path.stem: 0 for path in sorted(data.glob("*.db"))}:
        found.append(Manifest(MONOLITH, FILES, files))
    if databases := _of_a_fleet(data):
        found.append(Manifest(FLEET, fleet, databases))
    if not found:
        return None
    return next((one for one in found if one.topology == topology), found[0])


def _of_a_fleet(data: Path) -> dict[str, int]:
    """Gives the services for whose databases a fleet has made passwords."""
    try:
        known = json.loads((data / "fleet" / "credentials.json").read_text())
    except (OSError, ValueError):
        return {}
    return {name.removeprefix(_ROLE): 0 for name in known if name.startswith(_ROLE)}


def claim(data: Path, topology: str, databases: str) -> Manifest:
    """Checks that an existing directory fits a start, writes its manifest, and returns that.

    Raises ConfigurationError when it does not fit; the message says how to start the system that it holds.
    """

    def claimed(found: Manifest | None) -> Manifest:
        before = found or _recognised_aloud(data, topology)
        installation = (before.installation if before is not None else "") or secrets.token_hex(16)
        if before is None or not before.services:  # nothing was kept yet
            return Manifest(topology, databases, installation=installation)
        _require_fit(data, before, {databases})
        if _release(before.souk) < _release(PROGRAM):
            _log.warning(f"{data} was used by Souk {before.souk} and is brought to Souk {PROGRAM}")
        return replace(before, topology=topology, installation=installation, souk=PROGRAM, format=FORMAT)

    return change(data, claimed)


def require_fit(data: Path, databases: str | Collection[str]) -> None:
    """Checks where a system keeps its databases. Raises ConfigurationError when that is none of `databases`."""
    found = read(data) or recognised(data)
    if found is not None:
        _require_fit(data, found, {databases} if isinstance(databases, str) else databases)


def _recognised_aloud(data: Path, topology: str) -> Manifest | None:
    found = recognised(data, topology)
    if found is not None:
        what = "a fleet" if found.topology == FLEET else f"a system of one process ({', '.join(found.services)})"
        _log.warning(f"{data} is from before data directories had a manifest: it holds {what}, and has one now")
    return found


def _require_fit(data: Path, found: Manifest, databases: Collection[str]) -> None:
    if found.databases in databases or not found.services:
        return
    if found.databases == GIVEN:
        hint = "its databases are on a PostgreSQL server: name it with --postgres or SOUK_POSTGRES"
    elif GIVEN in databases:
        hint = "its databases are in this directory: leave out --postgres and SOUK_POSTGRES"
    else:
        hint = f"start it with `souk up{' --topology fleet' if found.topology == FLEET else ''} --data {data}`"
    what = "a fleet" if found.topology == FLEET else "a system of one process"
    raise ConfigurationError(f"{data} holds the data of {what}; {hint}, or choose another directory with --data")


def record(data: Path, services: Iterable[str], *, bus: bool | None = None) -> Manifest:
    """Records that these services have a database now: from then on a start of another kind is refused.

    `bus` is whether the system has a bus of its own; None changes nothing.

    Raises ConfigurationError when the manifest was removed since `claim`.
    """

    def recorded(found: Manifest | None) -> Manifest:
        if found is None:
            raise ConfigurationError(f"{data / FILE} was removed while the system started; start it again")
        known = {**dict.fromkeys(services, 0), **found.services}
        return replace(found, services=known, bus=found.bus if bus is None else bus)

    return change(data, recorded)


def change(data: Path, work: Callable[[Manifest | None], Manifest]) -> Manifest:
    """Reads the manifest, lets `work` change it, writes it if it differs, and returns it; one process at a time."""
    with _alone(data):
        found = read(data)
        made = work(found)
        if made != found:
            write(data, made)
        return made


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    try:
        descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise unusable(data, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
