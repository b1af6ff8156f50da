"""The fleet's own PostgreSQL server: how its data is made, how it is started, and how it is known to be ready.

It listens on a socket in its data directory and on no port. Every role needs a password, the superuser too. What it
has committed is on disk.
"""

import errno
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from souk.backing.postgres.binaries import binaries_for
from souk.backing.run_as import User, give_to, hand_over, make_for, require_reachable
from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError
from souk.runtime.data.layout import fits
from souk.runtime.data.postgres_version import data_version
from souk.runtime.process.command import Command
from souk.runtime.process.launcher import tied
from souk.telemetry.proc import ProcessIdentity, identity, kernel

SUPERUSER = "postgres"
STOP_SIGNAL, KILL_SIGNAL = signal.SIGINT, signal.SIGQUIT
"""Fast shutdown, which writes everything to disk; immediate shutdown, after which it recovers from its log."""
_SOCKET_LINE, _READY_LINE = 4, 7
_PID_FILE = "postmaster.pid"
_SOCKET_FILES = ".s.PGSQL.*"
_FULL = os.strerror(errno.ENOSPC)
_ERROR_LINE = re.compile(r"\b(error|FATAL|PANIC):", re.IGNORECASE)
_WITH_IO_METHOD = 18
_WITH_SYNCFS = 14
_REPORTS_LOST_WRITES = (5, 8)
"""The first version of Linux in which syncfs(2) reports failed writes."""

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "64MB",
    # It is not replicated, and small statements gain nothing from compilation and parallel workers.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    # Not logged: statements, which contain users' data, and collisions of transactions, which are normal.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, slots=True)
class PostgresCluster:
    """The server whose data is in the directory `data`, run by the programs in `binaries`.

    `socket` is the folder of its socket. `user` is the user that it runs as; None means that of this process.
    `prepared` is how many prepared transactions it takes at once.
    """

    data: Path
    binaries: Path
    socket: Path
    user: User | None = None
    prepared: int = 0

    def url(self, user: str, password: str) -> str:
        """Gives the URL of the database `postgres`, which every server has."""
        return f"postgresql://{user}:{password}@/postgres?host={quote(str(self.socket))}"

    def prepare(self, password: str) -> None:
        """Makes the data directory, if there is none, with `password` for its superuser; that takes a second.

        Gives it to the server's user, and removes what a killed server has left and would stop a start. Raises
        ConfigurationError when the data directory cannot be made.
        """
        if data_version(self.data) is None:
            _initialise(self.binaries, self.data, password, self.user)
        hand_over(self.data, self.user)
        self._forget_stranger()

    def command(self, connections: int) -> Command:
        """Makes the command that starts the server, with so many `connections` at most."""
        settings = {**SETTINGS, **_by_version(data_version(self.data) or 0), "max_connections": str(connections)}
        if self.prepared:
            settings["max_prepared_transactions"] = str(self.prepared)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        words = (str(self.binaries / "postgres"), "-D", str(self.data), "-k", str(self.socket), *options)
        return Command(words, {"LC_ALL": "C.UTF-8", "TZ": "UTC"}, user=self.user)

    def answers(self, pid: int) -> bool:
        """Tells whether the server with this pid takes connections, as it writes into its pid file."""
        lines = _pid_file(self.data)
        return _is_ready(lines) and lines[0].strip() == str(pid)

    def process(self) -> ProcessIdentity | None:
        """Gives the process of the server that uses this data, whichever program started it; None without one."""
        return _process(self.data, _pid_file(self.data))

    def _forget_stranger(self) -> None:
        """Removes the pid file and the sockets of a server that was killed. PostgreSQL might not start with them: the
        pid may be that of another process by now, or of a zombie that init has not collected. Only we use the folder
        of the socket."""
        if self.process() is None:
            stale = (self.data / _PID_FILE, *self.socket.glob(_SOCKET_FILES))
            for file in stale:
                file.unlink(missing_ok=True)


def socket_of(data: Path) -> Path | None:
    """Gives the folder of the socket on which a server with this data takes connections now; None without one."""
    lines = _pid_file(data)
    return Path(lines[_SOCKET_LINE].strip()) if _is_ready(lines) and _process(data, lines) is not None else None


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / _PID_FILE).read_text().splitlines()
    except OSError:
        return []


def _is_ready(lines: list[str]) -> bool:
    return len(lines) > _READY_LINE and lines[_READY_LINE].strip() == "ready"


def _process(data: Path, lines: list[str]) -> ProcessIdentity | None:
    pid = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
    found = identity(pid) if pid else None
    return found if found is not None and str(data) in found.command else None


def _by_version(version: int) -> dict[str, str]:
    """Gives the settings that not every version of the server knows."""
    settings = {}
    if version >= _WITH_IO_METHOD:
        settings["io_method"] = "sync"
    if version >= _WITH_SYNCFS and kernel() >= _REPORTS_LOST_WRITES:
        # After a crash every file is synced before any is read. One by one that took 0.3 to 4.3 s for the
        # 2,800 files of six databases, depending on how busy the disk was; by file system, 0.1 s.
        settings["recovery_init_sync_method"] = "syncfs"
    return settings


def cluster_in(data: Path, user: User | None) -> PostgresCluster:
    """Makes the PostgresCluster of a data directory, with the programs that can run it, for `user` or this process's.

    Raises ConfigurationError, in one line, when no installed PostgreSQL can, or the user cannot reach its program.
    """
    binaries = binaries_for(data)
    require_reachable(binaries / "postgres", user, "its program", "install it elsewhere")
    if fits(data):
        return PostgresCluster(data, binaries, data, user)
    elsewhere = Path(tempfile.mkdtemp(prefix="souk-postgres-"))
    make_for(user, elsewhere)
    return PostgresCluster(data, binaries, elsewhere, user)


def initdb(binaries: Path, data: Path, user: User | None, *options: str) -> None:
    """Fills a data directory, which must be empty and belong to `user`. Raises ConfigurationError when that fails."""
    words = (str(binaries / "initdb"), "-D", str(data), "-U", SUPERUSER, "--encoding=UTF8", "--locale=C.UTF-8")
    command = (*tied(user, signal.SIGTERM), *words, *options)
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, env={})
    if done.returncode != 0:
        raise ConfigurationError(f"PostgreSQL cannot make its data directory {data}: {_why(done)}")


def _why(done: "subprocess.CompletedProcess[str]") -> str:
    """Gives the line of initdb's output that tells what went wrong; its last line only tells that it has cleaned up."""
    if _FULL in done.stderr:
        return "the disk is full; free some space, or choose another directory with --data"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR_LINE.search(line)]
    return (errors or lines or [f"initdb ended with status {done.returncode}"])[-1]


def _initialise(binaries: Path, data: Path, password: str, user: User | None) -> None:
    """Makes the data directory under another name and then renames it, so that a half-made one is never used."""
    aside = data.with_name(f"{data.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    make_for(user, aside)
    password_file = data.with_name(f".{data.name}.password")
    try:
        _write_password(password_file, password, user)
        initdb(binaries, aside, user, "--auth=scram-sha-256", f"--pwfile={password_file}")
    finally:
        password_file.unlink(missing_ok=True)
    aside.replace(data)


def _write_password(path: Path, password: str, user: User | None) -> None:
    """Writes a password into a file that only this user can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(private_files.create(path), "w") as file:
        file.write(password)
        give_to(user, file.fileno())
