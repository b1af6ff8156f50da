"""Translates the errors of PostgreSQL and of its driver. Total: every error becomes a StoreError.

Errors of the server are looked up in `souk.store.postgres.states`; errors of the driver itself are classified here.
"""

import ssl

import asyncpg

from souk.kernel.errors import ConfigurationError, SoukError, StoreError
from souk.store.error_meaning import Meaning, Server, StatementFate, undone
from souk.store.postgres.states import AWAY, READ_ONLY, REFUSES, meaning_of_state

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    ValueError,
    TypeError,
    OverflowError,
)
"""All that the driver raises; a time-out is an OSError, the last three are about values that it cannot encode."""

UNREADABLE = "the driver cannot read this URL"

_STALE = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
_VALUE = undone("a value that the driver cannot encode")


def state_of(error: BaseException) -> str:
    """Returns the SQLSTATE; empty for an error that is not the server's."""
    return str(getattr(error, "sqlstate", None) or "")


def meaning_of(error: BaseException) -> Meaning:
    """Returns what an error means for the statement, the connection and the server."""
    if isinstance(error, _STALE):
        return meaning_of_state("40001")
    if state := state_of(error):
        return meaning_of_state(state)
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return READ_ONLY
    if isinstance(error, ssl.SSLError | asyncpg.ClientConfigurationError):
        return REFUSES
    return AWAY if _lost(error) else _VALUE


def may_run_again(error: BaseException) -> bool:
    """Whether nothing has happened and a new try may succeed."""
    return meaning_of(error).fate is StatementFate.AGAIN


def is_about_data(error: BaseException) -> bool:
    """Whether a value or a constraint made it fail, possibly because the data is not as the work assumed."""
    return state_of(error).startswith(("22", "23"))


def is_refusal(error: BaseException) -> bool:
    """Whether the server reports that the statement failed, and so has undone all of it."""
    return isinstance(error, asyncpg.PostgresError) and meaning_of(error).fate is not StatementFate.UNSURE


def translate(error: BaseException, name: str, *, reading: bool = False) -> StoreError:
    """Makes Souk's error; `name` is the database's, for the message. `reading` means: in a read-only transaction."""
    meaning = meaning_of(error)
    if meaning.server is Server.READ_ONLY and reading:
        return StoreError(f"database {name} is read-only here: a read may not write")
    return meaning.error(name, _text_of(error))


def refused(error: BaseException, name: str) -> SoukError:
    """Makes the error for a failure to connect at the start: mostly a ConfigurationError, for a wrong setting."""
    if isinstance(error, asyncpg.ClientConfigurationError) or meaning_of(error) is _VALUE:
        return ConfigurationError(UNREADABLE)  # the driver's text quotes the URL, and so its password
    failure = translate(error, name)
    wrong = (Server.REFUSES, Server.READ_ONLY, Server.DENIES)
    return ConfigurationError(str(failure)) if meaning_of(error).server in wrong else failure


def _text_of(error: BaseException) -> str:
    """Returns the engine's text; empty for the driver's text about a URL, which quotes the URL with its password."""
    if isinstance(error, asyncpg.ClientConfigurationError | asyncpg.TargetServerAttributeNotMatched):
        return ""
    if isinstance(error, asyncpg.PostgresError | ssl.SSLError) or not _lost(error):
        return str(error)
    return ""


def _lost(error: BaseException) -> bool:
    if isinstance(error, OSError | asyncpg.InternalClientError):
        return True
    # The driver's own errors are about a connection that is gone or a pool that is closed,
    # except those about values, which are also ValueErrors.
    return isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
