"""What a program needs that stands in for something outside the system, such as a bank, and serves real HTTP."""

from souk.runtime.process.http.server import serving
from souk.runtime.process.open_files import raise_limit
from souk.runtime.process.sockets import BACKLOG
from souk.store.migrations import migrate
from souk.store.sqlite.database import SqliteDatabase
from souk.store.sqlite.directory_lock import lock_directory
from souk.telemetry.logs import LogSettings, configure

__all__ = [
    "BACKLOG",
    "LogSettings",
    "SqliteDatabase",
    "configure",
    "lock_directory",
    "migrate",
    "raise_limit",
    "serving",
]
