"""Passwords with argon2id, off the event loop.

19 MiB, two passes, one lane: OWASP Password Storage Cheat Sheet. At most two run at once, so that a
flood of logins takes neither all memory nor all cores; the others queue, and beyond what can be
served within a request's time they are turned away at once.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError

from souk.kernel.errors import Overloaded

T = TypeVar("T")

MEMORY_KIB = 19 * 1_024
PASSES = 2
AT_ONCE = 2
LONGEST_QUEUE = 100
"""Running and waiting; at 20 to 40 ms each, two at once, the last has its turn after about two seconds."""


class Argon2Passwords:
    """The port Passwords. The threads are its own: a request that goes away frees none of them early."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._queue = 0
        self._dummy = self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(_plain(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Checks against a hash of nobody's password when there is none: a stopwatch learns nothing."""
        fits = await self._run(lambda: self._fits(password_hash or self._dummy, password))
        return fits and password_hash is not None

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _plain(password))
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._queue >= LONGEST_QUEUE:
            raise Overloaded(f"{self._queue} passwords wait to be hashed")
        self._queue += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (HashingError, VerificationError, RuntimeError) as error:
            # Neither memory nor a thread could be had: that says nothing about the password.
            raise Overloaded(f"a password could not be hashed: {error}") from error
        finally:
            self._queue -= 1


def _plain(password: str) -> str:
    """One password, whatever keyboard typed it (NIST SP 800-63B, section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
