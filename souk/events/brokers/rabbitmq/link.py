"""One connection to a broker, and how anything is asked over it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiormq import Connection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.rabbitmq.settings import RabbitSettings

_T = TypeVar("_T")

FAILURES = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What the client raises. A RuntimeError says that a connection or a channel is closed."""
_CLOSED_WITHIN = 3.0


class NotDeclared(BrokerUnavailable):
    """There is no such exchange or queue."""


class NotPermitted(BrokerUnavailable):
    """The broker refuses by a rule of its own, such as one for queues that exist with other properties."""


def explained(error: BaseException, server: str) -> BrokerUnavailable:
    """Returns what to raise for an error of the client."""
    start = f"RabbitMQ at {server}"
    if isinstance(error, BrokerUnavailable):
        return error
    if isinstance(error, ProbableAuthenticationError | AuthenticationError):
        return BrokerUnavailable(f"{start} refuses the credentials")
    if isinstance(error, ChannelAccessRefused):
        return BrokerUnavailable(f"{start}: the credentials do not permit this: {error}")
    if isinstance(error, ChannelNotFoundEntity):
        return NotDeclared(f"{start}: it must be declared: {error}")
    if isinstance(error, ChannelPreconditionFailed):
        return NotPermitted(f"{start} refuses: {error}")
    return BrokerUnavailable(f"{start} cannot be reached, or does not answer: {error!r}")


class Link:
    """One connection. It is lost as a whole: when the connection ends, or one of its channels does unasked."""

    def __init__(self, settings: RabbitSettings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._lost = asyncio.Event()
        self._why: BaseException | None = None
        self._left: set[AbstractChannel] = set()

    @classmethod
    async def open(cls, settings: RabbitSettings) -> "Link":
        """Connects. Raises BrokerUnavailable."""
        link = cls(settings, Connection(settings.client_url))
        try:
            await link.ask(link._connection.connect())
        except BaseException:
            await link.close()
            raise
        link._watch(link._connection.closing)
        return link

    @property
    def version(self) -> tuple[int, ...]:
        """The broker's version."""
        found = str(self._connection.server_properties.get("version", "0"))
        return tuple(int(part) for part in found.split(".") if part.isdecimal())

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be asked over it any more."""
        return self._lost.is_set()

    async def until_lost(self) -> BrokerUnavailable:
        """Waits until it is lost, and returns why."""
        await self._lost.wait()
        return explained(self._why or ConnectionError("the connection is closed"), self._settings.server)

    async def until_unblocked(self) -> None:
        """Waits until the broker takes events, which it does not while it lacks memory or disk."""
        await self._connection.ready()

    async def ask(self, call: Coroutine[Any, Any, _T]) -> _T:
        """Returns what a call of the client returns. Raises BrokerUnavailable for its failures, and when it takes long.

        The call has a task of its own, as the client may cancel the tasks that wait for it, and may go on with one
        that was cancelled. Whoever asks can be cancelled at any time and knows by a CancelledError that it was.
        """
        task = asyncio.create_task(call)
        task.add_done_callback(_taken)
        try:
            done, _ = await asyncio.wait([task], timeout=self._settings.patience)
        finally:
            task.cancel()
        server = self._settings.server
        if not done:
            raise BrokerUnavailable(f"RabbitMQ at {server} does not answer within {self._settings.patience:g} s")
        try:
            return task.result()
        except asyncio.CancelledError:
            raise BrokerUnavailable(f"the connection to RabbitMQ at {server} was lost") from None
        except FAILURES as error:
            raise explained(error, server) from error

    async def channel(self, *, confirms: bool = False, watched: bool = True) -> AbstractChannel:
        """Opens a channel; with `confirms`, for publishing. Without `watched` its end is not the end of the link."""
        channel = await self.ask(self._connection.channel(publisher_confirms=confirms))
        # The broker ends a consumer whose queue is deleted, or has no leader any more.
        channel.on_consumer_cancel_callbacks.add(lambda _: self.lose(ConnectionError("the broker ended a consumer")))
        if watched:
            self._watch(channel.closing, channel)
        return channel

    async def leave(self, channel: AbstractChannel) -> None:
        """Closes a channel; the broker takes back the events that were not acknowledged over it."""
        self._left.add(channel)
        try:
            await self.ask(channel.close(ConnectionError("the channel is closed")))
        finally:
            self._left.discard(channel)

    def lose(self, error: BaseException) -> None:
        """Gives it up."""
        if not self._lost.is_set():
            self._why = error
            self._lost.set()

    async def close(self) -> None:
        """Closes the connection; one that does not answer is left to close by itself."""
        closing = asyncio.create_task(self._connection.close(ConnectionError("the connection is closed")))
        closing.add_done_callback(_taken)
        self.lose(ConnectionError("the connection is closed"))
        await asyncio.wait([closing], timeout=_CLOSED_WITHIN)

    def _watch(self, closing: "asyncio.Future[Any]", channel: AbstractChannel | None = None) -> None:
        def ended(_: "asyncio.Future[Any]") -> None:
            if channel is None or channel not in self._left:
                self.lose(ConnectionError("it was closed") if closing.cancelled() else _error_of(closing))

        closing.add_done_callback(ended)


def _error_of(closing: "asyncio.Future[Any]") -> BaseException:
    error = closing.exception()
    return ConnectionError("it was closed") if error is None or isinstance(error, asyncio.CancelledError) else error


def _taken(task: "asyncio.Task[Any]") -> None:
    """Takes an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
