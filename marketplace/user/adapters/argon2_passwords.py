"""Passwords with argon2id, off the event loop.

19 MiB, two passes, one lane: OWASP Password Storage Cheat Sheet. At most two hashes run at once, so that a
flood of logins takes neither all memory nor all cores. The other requests queue. The client addresses take
turns, so that a flood from one address delays that address alone. A request is refused with
TOO_MANY_ATTEMPTS when it has waited longer than a client would, and when the queue is full and its address
has the most requests in it: no CPU is spent on a request whose client has given up.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError

from marketplace.user.adapters.fair_queue import FairQueue
from marketplace.user.domain.account import too_many_attempts
from souk.sdk import DomainError, Overloaded, current

T = TypeVar("T")

MEMORY_KIB = 19 * 1_024
PASSES = 2
AT_ONCE = 2
LONGEST_QUEUE = 100
"""The most requests that wait. At 20 to 40 ms each, two at once, the last one starts after about two seconds."""
LONGEST_WAIT = 3.0
"""The longest wait in the queue, in seconds."""
AGAIN = 2.0
"""Seconds after which a refused client may try again."""


class Argon2Passwords:
    """Implements the port Passwords on threads of its own. A request that is cancelled frees no thread early."""

    def __init__(
        self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES, longest_wait: float = LONGEST_WAIT
    ) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._longest_wait = longest_wait
        self._running = 0
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue(LONGEST_QUEUE)
        self._dummy = self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(_plain(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Checks a password. Without a hash it checks against a dummy hash, so that the time taken reveals nothing."""
        fits = await self._run(lambda: self._fits(password_hash or self._dummy, password))
        return fits and password_hash is not None

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _plain(password))
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        await self._turn(current().caller.address)
        loop = asyncio.get_running_loop()
        try:
            running = self._threads.submit(work)
        except RuntimeError as error:
            self._go_on()
            raise _no_means(error) from error
        # Called when the thread is done, not when the request is cancelled: the thread is busy until then.
        running.add_done_callback(lambda _: _soon(loop, self._go_on))
        try:
            return await asyncio.wrap_future(running)
        except (HashingError, VerificationError, RuntimeError) as error:
            raise _no_means(error) from error

    async def _turn(self, client: str) -> None:
        """Waits until the request may run; raises TOO_MANY_ATTEMPTS when it waits too long."""
        if self._running < AT_ONCE:
            self._running += 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        crowded_out = self._queue.add(client, mine)
        if crowded_out is not None and not crowded_out.done():
            crowded_out.set_exception(_come_again())
        try:
            async with asyncio.timeout(self._longest_wait):
                await mine
        except BaseException as error:
            if mine.done() and not mine.cancelled() and mine.exception() is None:
                self._go_on()  # its turn came at the moment at which it gave up: pass the turn on
            if isinstance(error, TimeoutError):
                raise _come_again() from None
            raise

    def _go_on(self) -> None:
        """Gives the turn of a finished request to the next one that still waits."""
        while (waiting := self._queue.next()) is not None:
            if not waiting.done():
                waiting.set_result(None)
                return
        self._running -= 1


def _soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: no request waits any more
        loop.call_soon_threadsafe(callback)


def _come_again() -> DomainError:
    return too_many_attempts(AGAIN, "too many logins at once; try again in a moment")


def _no_means(error: Exception) -> Overloaded:
    # No memory or no thread was available: that says nothing about the password.
    return Overloaded(f"a password could not be hashed: {error}")


def _plain(password: str) -> str:
    """Normalises a password, so that every keyboard gives the same one (NIST SP 800-63B, section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
