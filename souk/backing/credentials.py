"""Passwords that the supervisor has generated, kept for the next start in a file that only its owner can read."""

import json
import secrets
from pathlib import Path

from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError

_BYTES = 24


class Credentials:
    """The passwords in the file at `path`, by role. Raises ConfigurationError for a file that is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passwords = _read(path)

    def __contains__(self, role: str) -> bool:
        return role in self._passwords

    def password(self, role: str) -> str:
        """Gives a role's password, generating it at the first call; it is on disk before it is returned.

        It needs no quoting in URLs and in SQL.
        """
        if role not in self._passwords:
            self._passwords[role] = secrets.token_urlsafe(_BYTES)
            self._write()
        return self._passwords[role]

    def _write(self) -> None:
        content = json.dumps(self._passwords, indent=1).encode()
        private_files.replace(self._path, content, aside=self._path.with_suffix(".new"))


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} is damaged; it held the passwords of PostgreSQL's roles")
    return {str(role): str(password) for role, password in found.items()}
