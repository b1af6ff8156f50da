"""PostgreSQL refuses to run as root: then it runs as a user of its own, in a directory that others may pass through.

What one user's processes keep, every other process of that user can read. So it is a user that nothing else
runs as: SOUK_POSTGRES_USER, or `souk-postgres`, which is made when it is missing.
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
"""How a user is made, by Debian, Fedora and the like, and by busybox."""

User = pwd.struct_passwd


def engine_user(name: str | None = None) -> User | None:
    """Who PostgreSQL runs as instead of root: the user `name`, or one of its own. None when this process is not root's.

    Raises ConfigurationError, in one line with the way out, when there is none and none can be made.
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
    # Whoever else starts a fleet at this moment may have made it.
    found = _named(NAME)
    if found is None:
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and its user {NAME} cannot be made ({why}); make it yourself, name "
            "another that nothing else runs as with SOUK_POSTGRES_USER, or start as an ordinary user"
        )
    return found


def give_to(user: User | None, descriptor: int) -> None:
    """Makes an open file that user's."""
    if user is not None:
        os.fchown(descriptor, user.pw_uid, user.pw_gid)


def hand_over(folder: Path, user: User | None) -> None:
    """Makes a folder, with all that is in it, that user's, if it is another's. Nobody may be at work in it."""
    if user is None or folder.lstat().st_uid == user.pw_uid:
        return
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.lchown(os.path.join(path, name), user.pw_uid, user.pw_gid)
    # Last, so that a hand-over that was interrupted is done again.
    os.lchown(folder, user.pw_uid, user.pw_gid)


def let_pass(data: Path, user: User | None) -> None:
    """Lets that user through our own data directory, without letting it list or read what is in it.

    Raises ConfigurationError, in one line, when a folder above does not let it through: that one is not ours.
    """
    if user is not None:
        data.chmod(_PASS_THROUGH)
        require_reachable(data, user, "the data directory", "choose another with --data")


def require_reachable(path: Path, user: User | None, what: str, otherwise: str) -> None:
    """Raises ConfigurationError when that user may not enter a folder above `path`."""
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
    """Makes a folder that this user alone can read; None is the user of this process."""
    folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    folder.chmod(_PRIVATE_FOLDER)
