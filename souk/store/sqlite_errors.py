"""What SQLite's errors mean to Souk. Total: every error of the driver becomes a StoreError.

busy, locked, full, cannot open, I/O error, out of memory   StoreUnavailable
corrupt, not a database                                     StoreCorrupt
anything else (constraint, syntax, a value out of range)    StoreError
"""

import sqlite3

from souk.kernel.errors import StoreCorrupt, StoreError, StoreUnavailable

DRIVER_ERRORS = (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError, ValueError, TypeError)
"""What the driver raises; the last four are about values that it cannot bind."""

_PRIMARY = 0xFF  # the low byte of an extended result code: https://sqlite.org/rescode.html
_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: "is locked by another process",
    sqlite3.SQLITE_LOCKED: "is locked",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_PERM: "may not be opened",
    sqlite3.SQLITE_AUTH: "may not be opened",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error",
    sqlite3.SQLITE_NOMEM: "is out of memory",
    sqlite3.SQLITE_INTERRUPT: "was interrupted",
    sqlite3.SQLITE_PROTOCOL: "cannot be locked",
    sqlite3.SQLITE_NOLFS: "cannot grow: the file system has no large files",
}
_CORRUPT = {
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is not a SQLite database",
}


def code_of(error: BaseException) -> int:
    """SQLite's primary result code; 0 for an error that is not SQLite's."""
    return int(getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY


def translate(error: BaseException, name: str) -> StoreError:
    """The error of Souk's tree; `name` is the database's, for the message."""
    code = code_of(error)
    if code in _UNAVAILABLE:
        return StoreUnavailable(f"database {name} {_UNAVAILABLE[code]}")
    if code in _CORRUPT:
        return StoreCorrupt(f"database {name} {_CORRUPT[code]}")
    if code == sqlite3.SQLITE_READONLY:
        return StoreError(f"database {name} is read-only here: a read may not write")
    return StoreError(f"database {name}: {error}")
