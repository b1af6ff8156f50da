"""Marks code that runs inside a database transaction, so that a channel can refuse remote calls there."""

from contextlib import AbstractContextManager
from contextvars import ContextVar

_open: ContextVar[bool] = ContextVar("souk_transaction", default=False)


def in_transaction() -> bool:
    """Whether the running code is inside the work of a `Database.run` or `Database.read`."""
    return _open.get()


class _Guard:
    # Not a generator of contextlib: that costs three times as much, and every transaction pays it.
    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _open.set(True)

    def __exit__(self, *_: object) -> None:
        _open.reset(self._token)


def guard() -> AbstractContextManager[None]:
    """Returns a context manager that the store's adapters put around the work of one transaction."""
    return _Guard()
