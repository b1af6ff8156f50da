"""The file of an authority: DATA/mesh/identity/authority.json, readable by its owner alone.

It is replaced atomically, so a crash leaves the old content or the new one. Who changes it holds a lock meanwhile, so
processes that change it at once do so one after the other, each on what the former wrote.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError
from souk.mesh.identity.record import AuthorityRecord, decoded, encoded
from souk.runtime.data.directory import private, unusable

FOLDER = Path("mesh") / "identity"
"""The folder of the file, below a data directory."""
FILE = "authority.json"
AUTHORITY = FOLDER / FILE
"""The file, below a data directory; a backup copies it."""
_ASIDE, _LOCK = f".{FILE}.new", ".lock"  # hidden, so that a backup does not copy them


class AuthorityStore:
    """The file of the authority of one data directory. Every method may raise ConfigurationError, in one line."""

    def __init__(self, data: Path) -> None:
        self._folder = private(data / FOLDER)
        self._path = self._folder / FILE
        self._last: tuple[tuple[int, ...], AuthorityRecord] | None = None

    def read(self) -> AuthorityRecord | None:
        """Reads the record; None if there is none yet. A file that is the one read before is not decoded again."""
        try:
            with self._path.open("rb") as file:
                about = os.fstat(file.fileno())
                stamp, last = (about.st_ino, about.st_mtime_ns, about.st_size), self._last
                if last is None or last[0] != stamp:
                    last = self._last = (stamp, decoded(file.read()))
                return last[1]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unusable(self._folder, error) from None
        except ValueError as error:
            raise ConfigurationError(
                f"{self._path} cannot be read ({error}); bring it back from a backup, or stop the system and remove "
                "it to have a new authority made"
            ) from None

    def update(self, change: Callable[[AuthorityRecord | None], AuthorityRecord]) -> AuthorityRecord:
        """Changes the record, and returns what `change` makes of it when it is on the disk.

        What `change` raises is raised, and nothing is written then.
        """
        try:
            with self._locked():
                before = self.read()
                record = change(before)
                if record != before:
                    private_files.replace(self._path, encoded(record), aside=self._folder / _ASIDE)
                return record
        except OSError as error:
            raise unusable(self._folder, error) from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, private_files.PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
