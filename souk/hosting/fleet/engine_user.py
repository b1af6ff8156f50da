"""PostgreSQL refuses to run as root: then it runs as nobody, in a directory that others may pass through.

The user is changed by a program between, not by `subprocess`, which then would fork: gRPC's threads do
not survive that, and the child dies now and then before it becomes PostgreSQL.
"""

import os
import pwd
import sys
from pathlib import Path

from souk.kernel.errors import ConfigurationError

_PASS_THROUGH = 0o711
_OTHERS_MAY_ENTER = 0o001
_PRIVATE_FOLDER = 0o700
NAME = "nobody"


_CHANGE_USER = (
    "import os, sys; user, group = map(int, sys.argv[1:3]); "
    "os.setgroups([]); os.setgid(group); os.setuid(user); os.execv(sys.argv[3], sys.argv[3:])"
)


def launcher() -> tuple[str, ...]:
    """What stands before the words of an engine's command, so that it runs as its user."""
    user = _engine_user()
    if user is None:
        return ()
    return sys.executable, "-I", "-S", "-c", _CHANGE_USER, str(user.pw_uid), str(user.pw_gid)


def give_to_engine(descriptor: int) -> None:
    """Makes an open file the engines' user's."""
    user = _engine_user()
    if user is not None:
        os.fchown(descriptor, user.pw_uid, user.pw_gid)


def _engine_user() -> pwd.struct_passwd | None:
    """Who engines run as instead of root; None when this process is not root's."""
    return None if os.geteuid() else pwd.getpwnam(NAME)


def let_pass(data: Path) -> None:
    """Lets the engines' user through our own data directory, without letting it list or read what is in it.

    Raises ConfigurationError, in one line, when a folder above does not let it through: that one is not ours.
    """
    if _engine_user() is not None:
        data.chmod(_PASS_THROUGH)
        require_reachable(data, "the data directory", "choose another with --data")


def require_reachable(path: Path, what: str, otherwise: str) -> None:
    """Raises ConfigurationError when the engines' user may not enter a folder above `path`."""
    user = _engine_user()
    if user is None:
        return
    for folder in reversed(path.resolve().parents):
        status = folder.stat()
        if not status.st_mode & _OTHERS_MAY_ENTER and status.st_uid != user.pw_uid:
            raise ConfigurationError(
                f"PostgreSQL does not run as root, so it runs as {NAME}, who cannot reach {what} {path}: "
                f"{folder} lets nobody else in; {otherwise}, or start as an ordinary user"
            )


def make_for_engine(folder: Path) -> None:
    """Makes a folder that the engines' user alone can read."""
    folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    user = _engine_user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    folder.chmod(_PRIVATE_FOLDER)
