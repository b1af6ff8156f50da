"""What every result code of SQLite means: https://sqlite.org/rescode.html."""

import sqlite3

import pytest

from souk.kernel.errors import StoreCorrupt, StoreError, StoreUnavailable
from souk.store.error_meaning import Server
from souk.store.sqlite.codes import EXTENDED, PRIMARY, meaning_of_code
from souk.store.sqlite.errors import translate

_PRIMARIES = {*range(29), 100, 101}
_LATER = {"PERM", "BUSY", "LOCKED", "NOMEM", "READONLY", "INTERRUPT", "IOERR", "FULL", "CANTOPEN", "PROTOCOL"}
_LATER |= {"SCHEMA", "NOLFS", "AUTH"}
_DAMAGED = {"CORRUPT", "NOTADB"}
_ACTIONS = {"ALTER_TABLE", "ANALYZE", "ATTACH", "DENY", "DETACH", "FUNCTION", "IGNORE", "INSERT", "PRAGMA", "READ"}
_ACTIONS |= {"RECURSIVE", "REINDEX", "SAVEPOINT", "SELECT", "TRANSACTION", "UPDATE", "DELETE"}


def _codes() -> dict[str, int]:
    """Every code that the driver names, but actions and limits, which share their numbers."""
    named = {name.removeprefix("SQLITE_"): getattr(sqlite3, name) for name in dir(sqlite3) if name[:7] == "SQLITE_"}
    return {
        name: code
        for name, code in named.items()
        if name not in _ACTIONS and not name.startswith(("LIMIT_", "CREATE_", "DROP_", "DBCONFIG_"))
    }


CODES = _codes()


def _error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("injected")
    error.sqlite_errorcode = code
    return error


def test_every_primary_code_is_in_the_table() -> None:
    assert set(PRIMARY) == _PRIMARIES
    assert {code & 0xFF for code in CODES.values()} <= set(PRIMARY)
    assert {code & 0xFF for code in EXTENDED} <= set(PRIMARY)
    assert len(CODES) > 90


@pytest.mark.parametrize("name", sorted(CODES))
def test_what_it_is_answered_with(name: str) -> None:
    primary = name.split("_", maxsplit=1)[0]
    expected = StoreCorrupt if primary in _DAMAGED else StoreUnavailable if primary in _LATER else StoreError
    assert type(translate(_error(CODES[name]), "x.db")) is expected
    meaning = meaning_of_code(CODES[name])
    assert meaning.advice
    if meaning.server is not Server.WELL:
        assert f"({meaning.advice})" in str(translate(_error(CODES[name]), "x.db"))


def test_a_write_in_a_read_is_a_mistake_and_a_read_only_file_is_not() -> None:
    refused = _error(sqlite3.SQLITE_READONLY)
    assert type(translate(refused, "x.db", reading=True)) is StoreError
    assert type(translate(refused, "x.db")) is StoreUnavailable


def test_a_code_that_nobody_knows() -> None:
    assert type(translate(_error(77), "x.db")) is StoreError
