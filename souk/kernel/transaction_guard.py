"""Tells a channel that a database transaction is open, so that no remote call is made inside one."""

from contextlib import AbstractContextManager
from contextvars import ContextVar

_open: ContextVar[bool] = ContextVar("souk_transaction", default=False)


def in_transaction() -> bool:
    """Whether the running code is the work of a `Database.run` or `Database.read`."""
    return _open.get()


class _Guard:
    # Not a generator of contextlib, which costs three times as much, for every transaction.
    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _open.set(True)

    def __exit__(self, *_: object) -> None:
        _open.reset(self._token)


def guard() -> AbstractContextManager[None]:
    """Set by the store's adapters around the work of one transaction."""
    return _Guard()
