"""The user that PostgreSQL runs as when root starts a fleet: PostgreSQL refuses to run as root.

Processes of one user can read each other's files. So PostgreSQL gets a user that nothing else runs as:
SOUK_POSTGRES_USER, or `souk-postgres`, which is created if it is missing. The data directory then lets that user
pass through.
"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from souk.kernel.errors import ConfigurationError

_PASS_THROUGH = 0o711
_OTHERS_MAY_ENTER = 0o001
_PRIVATE_FOLDER = 0o700
NAME = "souk-postgres"
_MAKE = (
    ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false"),
    ("adduser", "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/bin/false"),
)
"""The commands that make a user: on Debian, Fedora and the like, and with busybox."""

User = pwd.struct_passwd


def engine_user(name: str | None = None) -> User | None:
    """Gives the user that PostgreSQL runs as: `name`, or its default user; None when this process is not root's.

    Raises ConfigurationError, in one line with the remedy, when there is no such user and none can be made.
    """
    if os.geteuid():
        return None
    found = _named(name or NAME)
    if found is None and name is not None:
        raise ConfigurationError(f"SOUK_POSTGRES_USER: there is no user {name!r}; create it, or remove the setting")
    if found is not None and found.pw_uid == 0:
        raise ConfigurationError("SOUK_POSTGRES_USER: PostgreSQL refuses to run as root; name another user")
    return found or _made()


def _named(name: str) -> User | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _made() -> User:
    why = "there is no useradd on this machine"
    for program, *options in _MAKE:
        if shutil.which(program) is not None:
            done = subprocess.run((program, *options, NAME), capture_output=True, text=True, check=False)
            why = done.stderr.strip().rpartition("\n")[2] or f"{program} ended with status {done.returncode}"
            break
    # Another start of a fleet at this moment may have made the user.
    found = _named(NAME)
    if found is None:
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and its user {NAME} cannot be made ({why}); make it yourself, name "
            "another that nothing else runs as with SOUK_POSTGRES_USER, or start as an ordinary user"
        )
    return found


def give_to(user: User | None, descriptor: int) -> None:
    """Gives an open file to this user; None changes nothing."""
    if user is not None:
        os.fchown(descriptor, user.pw_uid, user.pw_gid)


def hand_over(folder: Path, user: User | None) -> None:
    """Gives a folder and all that is in it to this user, if it is another's. No process may use it meanwhile."""
    if user is None or folder.lstat().st_uid == user.pw_uid:
        return
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.lchown(os.path.join(path, name), user.pw_uid, user.pw_gid)
    # The folder comes last, so that a change that was interrupted is done again.
    os.lchown(folder, user.pw_uid, user.pw_gid)


def let_pass(data: Path, user: User | None) -> None:
    """Lets this user pass through our data directory, without listing or reading what is in it.

    Raises ConfigurationError, in one line, when a folder above it does not let the user pass: we do not change that.
    """
    if user is not None:
        data.chmod(_PASS_THROUGH)
        require_reachable(data, user, "the data directory", "choose another with --data")


def require_reachable(path: Path, user: User | None, what: str, otherwise: str) -> None:
    """Checks a path. Raises ConfigurationError when this user may not enter a folder above it."""
    if user is None:
        return
    for folder in reversed(path.resolve().parents):
        status = folder.stat()
        if not status.st_mode & _OTHERS_MAY_ENTER and status.st_uid != user.pw_uid:
            raise ConfigurationError(
                f"PostgreSQL does not run as root, so it runs as {user.pw_name}, who cannot reach {what} {path}: "
                f"{folder} lets nobody else in; {otherwise}, or start as an ordinary user"
            )


def make_for(user: User | None, folder: Path) -> None:
    """Makes a folder that only this user can read; None means the user of this process."""
    folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    folder.chmod(_PRIVATE_FOLDER)
