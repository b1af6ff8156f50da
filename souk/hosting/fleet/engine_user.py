"""PostgreSQL refuses to run as root: then it runs as nobody, in a directory that others may pass through."""

import os
import pwd
from pathlib import Path
from typing import Any

from souk.kernel.errors import ConfigurationError

_PASS_THROUGH = 0o711
_OTHERS_MAY_ENTER = 0o001
_PRIVATE_FOLDER = 0o700
NAME = "nobody"


def engine_user() -> dict[str, Any]:
    """Who engines run as, as `subprocess` takes it: nobody, if this process is root's, else its own user."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(NAME)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def let_pass(data: Path) -> None:
    """Lets the engines' user through our own data directory, without letting it list or read what is in it.

    Raises ConfigurationError, in one line, when a folder above does not let it through: that one is not ours.
    """
    if engine_user():
        data.chmod(_PASS_THROUGH)
        require_reachable(data, "the data directory", "choose another with --data")


def require_reachable(path: Path, what: str, otherwise: str) -> None:
    """Raises ConfigurationError when the engines' user may not enter a folder above `path`."""
    user = engine_user()
    if not user:
        return
    for folder in reversed(path.resolve().parents):
        status = folder.stat()
        if not status.st_mode & _OTHERS_MAY_ENTER and status.st_uid != user["user"]:
            raise ConfigurationError(
                f"PostgreSQL does not run as root, so it runs as {NAME}, who cannot reach {what} {path}: "
                f"{folder} lets nobody else in; {otherwise}, or start as an ordinary user"
            )


def make_for_engine(folder: Path) -> None:
    """Makes a folder that the engines' user alone can read."""
    folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    user = engine_user()
    if user:
        os.chown(folder, user["user"], user["group"])
    folder.chmod(_PRIVATE_FOLDER)
