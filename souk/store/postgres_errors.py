"""What PostgreSQL's errors mean to Souk. Total: every error of the driver becomes a StoreError.

    serialisation failure, deadlock, plan out of date           the work is run again
    connection lost, shutting down, out of resources, lock wait StoreUnavailable
    data or index corrupted                                     StoreCorrupt
    anything else (constraint, syntax, a value out of range)    StoreError

By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

import asyncpg

from souk.kernel.errors import ConfigurationError, SoukError, StoreCorrupt, StoreError, StoreUnavailable

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

_AGAIN = ("40001", "40P01")
_UNAVAILABLE = ("08", "53", "57", "58", "55P03", "25P03", "25P04")
_CORRUPT = ("XX001", "XX002")
_READ_ONLY = "25006"
_REFUSED = ("28", "3D000", "42501")


def state_of(error: BaseException) -> str:
    """The SQLSTATE; empty for an error that is not the server's."""
    return str(getattr(error, "sqlstate", None) or "")


def may_run_again(error: BaseException) -> bool:
    """Whether nothing has happened and a new try may succeed."""
    stale = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
    return state_of(error) in _AGAIN or isinstance(error, stale)


def is_about_data(error: BaseException) -> bool:
    """Whether a value or a constraint stood in the way: of data that may be other than the work believes."""
    return state_of(error).startswith(("22", "23"))


def is_refusal(error: BaseException) -> bool:
    """Whether the server says that the statement failed; then it has undone all of it."""
    return isinstance(error, asyncpg.PostgresError) and not state_of(error).startswith(("08", "57"))


def translate(error: BaseException, name: str) -> StoreError:
    """The error of Souk's tree; `name` is the database's, for the message."""
    state = state_of(error)
    if may_run_again(error):
        return StoreUnavailable(f"database {name} is too busy: other transactions keep changing the same rows")
    if state.startswith(_UNAVAILABLE):
        return StoreUnavailable(f"database {name} is unavailable: {error}")
    if state in _CORRUPT:
        return StoreCorrupt(f"database {name} is damaged")
    if state == _READ_ONLY:
        return StoreError(f"database {name} is read-only here: a read may not write")
    if _lost(error):
        return StoreUnavailable(f"database {name} cannot be reached")
    return StoreError(f"database {name}: {error}")


def refused(error: BaseException, name: str) -> SoukError:
    """What a failure to connect at start means: mostly a wrong setting."""
    if state_of(error).startswith(_REFUSED):
        return ConfigurationError(f"database {name} refuses the connection: {error}")
    return translate(error, name)


def _lost(error: BaseException) -> bool:
    if isinstance(error, OSError | asyncpg.InternalClientError):
        return True
    # The driver's own complaints are about a connection that is gone or a pool that is closed,
    # except those about values, which are ValueErrors besides.
    return isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
