"""What the errors of PostgreSQL and of its driver mean to Souk. Total: every one becomes a StoreError.

What the server says is looked up in `postgres_states`; what the driver says for itself is judged here.
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
"""What the driver raises; a time-out is an OSError, the last three are about values it cannot encode."""

_STALE = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
_VALUE = undone("a value that the driver cannot encode")


def state_of(error: BaseException) -> str:
    """The SQLSTATE; empty for an error that is not the server's."""
    return str(getattr(error, "sqlstate", None) or "")


def meaning_of(error: BaseException) -> Meaning:
    """What it means for the statement, the connection and the server."""
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
    """Whether a value or a constraint stood in the way: of data that may be other than the work believes."""
    return state_of(error).startswith(("22", "23"))


def is_refusal(error: BaseException) -> bool:
    """Whether the server says that the statement failed; then it has undone all of it."""
    return isinstance(error, asyncpg.PostgresError) and meaning_of(error).fate is not StatementFate.UNSURE


def translate(error: BaseException, name: str, *, reading: bool = False) -> StoreError:
    """The error of Souk's tree; `name` is the database's, for the message. `reading`: in a read-only transaction."""
    meaning = meaning_of(error)
    if meaning.server is Server.READ_ONLY and reading:
        return StoreError(f"database {name} is read-only here: a read may not write")
    return meaning.error(name, _text_of(error))


def refused(error: BaseException, name: str) -> SoukError:
    """What a failure to connect at start means: mostly a wrong setting."""
    if isinstance(error, asyncpg.ClientConfigurationError):
        return StoreError("the driver cannot read this URL")
    failure = translate(error, name)
    wrong = (Server.REFUSES, Server.READ_ONLY, Server.DENIES)
    return ConfigurationError(str(failure)) if meaning_of(error).server in wrong else failure


def _text_of(error: BaseException) -> str:
    """The engine's text; not the driver's of a URL, which quotes it, and so its password."""
    if isinstance(error, asyncpg.ClientConfigurationError | asyncpg.TargetServerAttributeNotMatched):
        return ""
    if isinstance(error, asyncpg.PostgresError | ssl.SSLError) or not _lost(error):
        return str(error)
    return ""


def _lost(error: BaseException) -> bool:
    if isinstance(error, OSError | asyncpg.InternalClientError):
        return True
    # The driver's own complaints are about a connection that is gone or a pool that is closed,
    # except those about values, which are ValueErrors besides.
    return isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
