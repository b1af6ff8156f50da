"""Translates the errors of SQLite and of its driver. Total: every error becomes a StoreError.

Errors of SQLite are looked up in `souk.store.sqlite.codes`; errors of the driver itself are about a value that it
cannot bind.
"""

import sqlite3

from souk.kernel.errors import StoreError
from souk.store.error_meaning import Meaning, Server, undone
from souk.store.sqlite.codes import meaning_of_code, primary

DRIVER_ERRORS = (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError, ValueError, TypeError)
"""All that the driver raises; the last four are about values that it cannot bind."""

_VALUE = undone("a value that the driver cannot bind")


def code_of(error: BaseException) -> int:
    """Returns SQLite's primary result code; 0 for an error that is not SQLite's."""
    return primary(_code(error))


def meaning_of(error: BaseException) -> Meaning:
    """Returns what an error means for the statement, the connection and the file."""
    code = _code(error)
    return meaning_of_code(code) if code else _VALUE


def translate(error: BaseException, name: str, *, reading: bool = False) -> StoreError:
    """Makes Souk's error; `name` is the database's, for the message. `reading` means: in the transaction of a read."""
    meaning = meaning_of(error)
    if meaning.server is Server.READ_ONLY and reading:
        return StoreError(f"database {name} is read-only here: a read may not write")
    return meaning.error(name, str(error))


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", None) or 0)
