"""Tells a channel that a database transaction is open, so that no remote call is made inside one."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_open: ContextVar[bool] = ContextVar("souk_transaction", default=False)


def in_transaction() -> bool:
    """Whether the running code is the work of a `Database.run` or `Database.read`."""
    return _open.get()


@contextmanager
def guard() -> Iterator[None]:
    """Set by the store's adapters around the work of one transaction."""
    token = _open.set(True)
    try:
        yield
    finally:
        _open.reset(token)
