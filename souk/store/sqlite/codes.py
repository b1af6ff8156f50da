"""The meaning of every result code of SQLite. Total: an extended code that is not listed has that of its primary code.

Source: https://sqlite.org/rescode.html. The connection is kept, except when its file was moved or deleted.
"""

import sqlite3
from collections.abc import Mapping

from souk.store.error_meaning import Meaning, Reuse, Server, StatementFate, undone

_PRIMARY = 0xFF  # the low byte of an extended code


def _means(server: Server, advice: str) -> Meaning:
    return Meaning(StatementFate.UNDONE, Reuse.KEEP, server, advice)


_BUSY = _means(Server.BUSY, "it is locked by another process")
_FULL = _means(Server.FULL, "the disk is full: make room")
_DISK = _means(Server.AWAY, "it cannot be read or written, the disk reports an error: see the system's log")
_DENIED = _means(Server.AWAY, "it may not be opened: see who owns the file and its directory")
_READ_ONLY = _means(Server.READ_ONLY, "see who owns the file and its directory, and how its disk is mounted")
_MOVED = Meaning(
    StatementFate.UNDONE, Reuse.DISCARD_ALL, Server.AWAY, "its file was moved or deleted: put it back, and start again"
)
_DAMAGED = _means(Server.DAMAGED, "restore it from a backup")

PRIMARY: Mapping[int, Meaning] = {
    0: undone("success"),
    sqlite3.SQLITE_ERROR: undone("the statement"),
    sqlite3.SQLITE_INTERNAL: undone("a fault of SQLite"),
    sqlite3.SQLITE_PERM: _DENIED,
    sqlite3.SQLITE_ABORT: undone("the statement was ended"),
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_NOMEM: _means(Server.FULL, "it is out of memory"),
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_INTERRUPT: _means(Server.BUSY, "the statement took longer than it may, or was interrupted"),
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTFOUND: undone("something is not there"),
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_CANTOPEN: _means(Server.AWAY, "it cannot be opened: see that the file and its directory are there"),
    sqlite3.SQLITE_PROTOCOL: _means(Server.BUSY, "it cannot be locked"),
    sqlite3.SQLITE_EMPTY: undone("not in use"),
    sqlite3.SQLITE_SCHEMA: _means(Server.BUSY, "its tables were changed meanwhile"),
    sqlite3.SQLITE_TOOBIG: undone("a value is too large"),
    sqlite3.SQLITE_CONSTRAINT: undone("a constraint"),
    sqlite3.SQLITE_MISMATCH: undone("a value of another type"),
    sqlite3.SQLITE_MISUSE: undone("SQLite is not used as it must be"),
    sqlite3.SQLITE_NOLFS: _means(Server.FULL, "the file system has no large files"),
    sqlite3.SQLITE_AUTH: _DENIED,
    sqlite3.SQLITE_FORMAT: undone("not in use"),
    sqlite3.SQLITE_RANGE: undone("a parameter that is not there"),
    sqlite3.SQLITE_NOTADB: Meaning(
        StatementFate.UNDONE, Reuse.KEEP, Server.DAMAGED, "the file is not a SQLite database: restore it from a backup"
    ),
    sqlite3.SQLITE_NOTICE: undone("a notice"),
    sqlite3.SQLITE_WARNING: undone("a warning"),
    sqlite3.SQLITE_ROW: undone("a row"),
    sqlite3.SQLITE_DONE: undone("the end of the rows"),
}
"""The meanings of the primary codes; a primary code is the low byte of its extended codes."""

EXTENDED: Mapping[int, Meaning] = {
    sqlite3.SQLITE_READONLY_DBMOVED: _MOVED,
    sqlite3.SQLITE_READONLY_RECOVERY: _BUSY,
    sqlite3.SQLITE_READONLY_CANTLOCK: _BUSY,
    sqlite3.SQLITE_IOERR_NOMEM: PRIMARY[sqlite3.SQLITE_NOMEM],
    sqlite3.SQLITE_IOERR_BLOCKED: _BUSY,
    sqlite3.SQLITE_IOERR_LOCK: _BUSY,
    sqlite3.SQLITE_IOERR_VNODE: _MOVED,
}
"""The extended codes whose meaning differs from that of their primary code."""


def meaning_of_code(code: int) -> Meaning:
    """Returns the meaning of a primary or an extended code."""
    return EXTENDED.get(code) or PRIMARY.get(code & _PRIMARY) or undone("a code that is not in the documentation")


def primary(code: int) -> int:
    """Returns the primary code of an extended code."""
    return code & _PRIMARY
